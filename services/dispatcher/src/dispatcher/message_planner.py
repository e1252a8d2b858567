"""Plans mails of their own: what is due becomes batches, by sender, without waiting for campaigns."""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson

from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.domain.mail import barred
from dispatcher.domain.outcomes import Outcome
from dispatcher.mail_gate import look_again
from dispatcher.store.batches import Batches, job
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.messages import Messages
from dispatcher.store.senders import Senders
from postfleet.bus import Bus
from postfleet.instants import now_ms

log = logging.getLogger(__name__)

_PACKS_A_PASS = 100
_ROWS_A_PASS = 1000
_OLD_A_PASS = 100
_TIDY_MS = 60_000
_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
_OPEN = ("deferred", "postponed", "queued", "unknown")


@dataclass(frozen=True, slots=True)
class MailStores:
    messages: Messages
    deliveries: Deliveries
    batches: Batches
    senders: Senders


class MessagePlanner:
    def __init__(
        self, stores: MailStores, bus: Bus, *, batch_size: int, every_seconds: float
    ) -> None:
        self._stores, self._bus = stores, bus
        self._batch_size, self._every = batch_size, every_seconds
        self._wake = asyncio.Event()
        self._tidied = 0

    def wake(self) -> None:
        """Plan now: something has come in."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for ever; a pass that fails is tried again at the next."""
        while True:
            self._wake.clear()
            try:
                busy = await self.plan_once()
            except Exception as error:
                log.warning("planning mails failed, tried again soon: %r", error)
                busy = False
            if not busy:
                await self._rest()

    async def _rest(self) -> None:
        """Until something has come in, or the next look is due."""
        try:
            async with asyncio.timeout(self._every):
                await self._wake.wait()
        except TimeoutError:
            return

    async def plan_once(self) -> bool:
        """One pass; whether more is due right away."""
        moment = now_ms()
        more = await self._again(moment)
        due = await self._stores.messages.due(moment, _PACKS_A_PASS)
        by_origin: dict[Origin, list[Item]] = {}
        for name, mail in (named for pack in due for named in pack.by_name.items()):
            origin = Origin("", 0, "", mail.sender_id, mail.category)
            items = [Item(delivery, name, recipient) for delivery, recipient in mail.deliveries]
            by_origin.setdefault(origin, []).extend(items)
        batches = [
            batch
            for origin, items in by_origin.items()
            for batch in self._batches(origin, items, moment)
        ]
        await self._stores.batches.insert(batches)
        if due:
            await self._stores.messages.planned(pack.id for pack in due)
            await self._bus.put(job(batch) for batch in batches)
        if moment - self._tidied > _TIDY_MS:
            self._tidied = moment
            await self._tidy(moment)
        return more or len(due) == _PACKS_A_PASS

    def _batches(self, origin: Origin, items: Sequence[Item], moment: int) -> Iterable[Batch]:
        reasons = self._reasons(origin.sender_id, moment)
        for start in range(0, len(items), self._batch_size):
            part = tuple(items[start : start + self._batch_size])
            yield Batch(uuid.uuid4().hex, origin, part, moment, reasons)

    def _reasons(self, sender_id: str, moment: int) -> str:
        """Its sender was named by who wrote it; what speaks against it now is in the decisions."""
        sender = self._stores.senders.get(sender_id)
        against = barred(sender, moment) if sender else None
        excluded = [[against.sender_id, against.rule, against.detail]] if against else []
        eligible = [] if against else [sender_id]
        return orjson.dumps(
            {"eligible": eligible, "excluded": excluded, "chosen": sender_id}
        ).decode()

    async def _again(self, moment: int) -> bool:
        """Deferred and postponed deliveries whose time has come."""
        due = await self._stores.deliveries.due_mails(moment, _ROWS_A_PASS)
        groups: dict[Origin, list[Row]] = {}
        for row in due:
            groups.setdefault(row.origin, []).append(row)
        for origin, rows in groups.items():
            sender = self._stores.senders.get(origin.sender_id)
            reason = barred(sender, moment) if sender else None
            if sender and reason and reason.rule != "deleted":
                # Not a settlement a minute; one an hour also finds what has expired meanwhile.
                old = moment - _HOUR_MS
                ids = [r.item.delivery_id for r in rows if r.document["updated_at"] > old]
                rows = [row for row in rows if row.document["updated_at"] <= old]
                await self._stores.deliveries.look_again(ids, look_again(sender, moment))
            batches = list(self._batches(origin, [_next_item(row) for row in rows], moment))
            await self._stores.batches.insert(batches)
            await self._stores.deliveries.queue([row.item.delivery_id for row in rows])
            await self._bus.put(job(batch) for batch in batches)
        return len(due) == _ROWS_A_PASS

    async def _tidy(self, moment: int) -> None:
        """Remove what was kept long enough; what is still open is kept for another day."""
        stores = self._stores
        old = await stores.messages.old(moment, _OLD_A_PASS)
        ids = [id_ for pack in old for mail in pack.mails for id_, _ in mail.deliveries]
        rows = await stores.deliveries.get_many(ids) if ids else {}
        waiting = {
            row.item.lead_id.partition(".")[0] for row in rows.values() if row.state in _OPEN
        }
        await stores.messages.keep(sorted(waiting), moment + _DAY_MS)
        await stores.messages.remove([pack.id for pack in old if pack.id not in waiting])


def _next_item(row: Row) -> Item:
    """A deferred delivery gets a new attempt; a postponed one was not tried at all."""
    item = row.item
    attempt = item.attempt + (row.state == Outcome.DEFERRED.value)
    return replace(item, attempt=attempt)
