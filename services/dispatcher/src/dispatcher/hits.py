"""Opens and clicks, in batches: the marks that conditions and winner rules ask for."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dispatcher.domain.counted_hits import Kind, Standing, standings
from dispatcher.evidence import Evidence
from dispatcher.handlers import RowMissing
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from postfleet.cloudevents import Received
from postfleet.events.tracking import HitEvent, VerdictChanged

DURABLE = "dispatcher-hits"

_ROWS_WITHIN_SECONDS = 2.0  # a settlement's events are said just before its rows are written
_LOOK_EVERY_SECONDS = 0.05


class Hits:
    def __init__(self, deliveries: Deliveries, evidence: Evidence) -> None:
        self._deliveries, self._evidence = deliveries, evidence

    async def apply(self, batch: Sequence[Received[Any]]) -> None:
        """Mark the rows; a rerun marks nothing more. Raises RowMissing after the others."""
        told = [r.event for r in batch if isinstance(r.event, HitEvent | VerdictChanged)]
        rows = await self._rows({event.delivery_id for event in told})
        known = [event for event in told if event.delivery_id in rows]
        await self._deliveries.stand(_highest(known))
        for event in known:
            if isinstance(event, HitEvent):
                await self._evidence.arrived(rows[event.delivery_id], event.subject)
        missing = {event.delivery_id for event in told} - rows.keys()
        if missing:
            raise RowMissing(", ".join(sorted(missing)))

    async def _rows(self, ids: set[str]) -> Mapping[str, Row]:
        deadline = time.monotonic() + _ROWS_WITHIN_SECONDS
        rows = await self._deliveries.get_many(sorted(ids))
        while len(rows) < len(ids) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            rows = await self._deliveries.get_many(sorted(ids))
        return rows


def _highest(told: Sequence[HitEvent | VerdictChanged]) -> Mapping[tuple[str, Kind], Standing]:
    """How each delivery stands by these events alone."""
    found: dict[tuple[str, Kind], Standing] = {}
    for event in told:
        for kind, standing in standings(event):
            key = event.delivery_id, kind
            found[key] = max(standing, found.get(key, standing), key=lambda one: one.rank)
    return found
