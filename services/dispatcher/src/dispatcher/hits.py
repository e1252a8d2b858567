"""Opens and clicks, in batches: the marks that conditions and winner rules ask for."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dispatcher.evidence import Evidence
from dispatcher.handlers import RowMissing
from dispatcher.store.deliveries import Deliveries, Row
from dispatcher.store.leads import Leads
from postfleet.cloudevents import Received
from postfleet.events.tracking import EmailClicked, HitEvent, Verdict
from postfleet.instants import to_ms

DURABLE = "dispatcher-hits"

_ROWS_WITHIN_SECONDS = 2.0  # a settlement's events are said just before its rows are written
_LOOK_EVERY_SECONDS = 0.05

Marks = dict[str, dict[str, Any]]  # document id -> fields


class Hits:
    def __init__(self, deliveries: Deliveries, leads: Leads, evidence: Evidence) -> None:
        self._deliveries, self._leads, self._evidence = deliveries, leads, evidence

    async def apply(self, batch: Sequence[Received[Any]]) -> None:
        """Mark rows and leads; a rerun writes the same marks. Raises RowMissing after the others."""
        hits = [received.event for received in batch if isinstance(received.event, HitEvent)]
        rows = await self._rows({hit.delivery_id for hit in hits})
        known = [hit for hit in hits if hit.delivery_id in rows]
        of_rows, of_leads = _marks(known, rows)
        await self._deliveries.mark_many(of_rows)
        await self._leads.mark_many(of_leads)
        for hit in known:
            await self._evidence.arrived(rows[hit.delivery_id], hit.subject)
        missing = {hit.delivery_id for hit in hits} - rows.keys()
        if missing:
            raise RowMissing(", ".join(sorted(missing)))

    async def _rows(self, ids: set[str]) -> Mapping[str, Row]:
        deadline = time.monotonic() + _ROWS_WITHIN_SECONDS
        rows = await self._deliveries.get_many(sorted(ids))
        while len(rows) < len(ids) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            rows = await self._deliveries.get_many(sorted(ids))
        return rows


def _marks(hits: Sequence[HitEvent], rows: Mapping[str, Row]) -> tuple[Marks, Marks]:
    """What people's first hits say about the row and about the lead; machines say nothing."""
    of_rows: Marks = {}
    of_leads: Marks = {}
    for hit in hits:
        if hit.verdict is not Verdict.HUMAN or not hit.first:
            continue
        row = rows[hit.delivery_id]
        name = "clicked_at" if isinstance(hit, EmailClicked) else "opened_at"
        mark = {name: to_ms(hit.occurred_at)}
        of_rows.setdefault(hit.delivery_id, {}).update(mark)
        if row.origin.campaign_id:
            of_leads.setdefault(row.lead_key, {}).update(mark)
    return of_rows, of_leads
