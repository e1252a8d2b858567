"""What earlier lives of a batch have left: what they settled, and attempts nobody wrote the end of.

A batch is done only when each attempt it has begun is settled. So an attempt that a worker finds
taken has an owner who will settle it, or is settled here as unknown (RFC 1047's window).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.identity import message_id
from dispatcher.domain.ledger import CRASHED, Batch, Item, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.attempts import Attempts, Begun
from dispatcher.store.batches import Batches
from dispatcher.store.messages import Messages
from dispatcher.store.senders import Senders
from dispatcher.store.settlements import Settlements


@dataclass(frozen=True, slots=True)
class Taken:
    """`by_us`: how many an earlier life of the same batch had begun; it used up their quota."""

    unknown: list[Settled]
    by_us: int


class Doubt:
    def __init__(
        self,
        *,
        batches: Batches,
        attempts: Attempts,
        settlements: Settlements,
        senders: Senders,
        messages: Messages,
        message_id_key: bytes,
    ) -> None:
        self._batches, self._attempts, self._settlements = batches, attempts, settlements
        self._senders, self._messages = senders, messages
        self._message_id_key = message_id_key

    async def settled(self, batch_id: str) -> Mapping[str, Settled]:
        """Attempt key -> what became of it in this batch; the strongest fact of each."""
        found: dict[str, Settled] = {}
        for settlement in await self._settlements.of_batch(batch_id):
            for one in settlement.settled:
                if one.item.key not in found or found[one.item.key].rank <= one.rank:
                    found[one.item.key] = one
        return found

    async def begun_here(self, batch: Batch) -> list[Settled]:
        """What this batch has begun and not settled, as unknown."""
        begun = await self._attempts.begun([item.key for item in batch.items])
        mine = [i for i in batch.items if i.key in begun and begun[i.key].batch_id == batch.id]
        return await self._unknown(batch, await self._without_end(batch.id, mine), begun)

    async def taken(self, batch: Batch, items: Sequence[Item]) -> Taken:
        """Of these, which a worker of this batch found taken: what no one else will settle."""
        begun = await self._attempts.begun([item.key for item in items])
        by_owner: dict[str, list[Item]] = {}
        for item in items:
            if item.key in begun:
                by_owner.setdefault(begun[item.key].batch_id, []).append(item)
        left: list[Item] = []
        for owner, theirs in by_owner.items():
            if owner == batch.id or not await self._batches.is_open(owner):
                left += await self._without_end(owner, theirs)
        return Taken(await self._unknown(batch, left, begun), len(by_owner.get(batch.id, [])))

    async def _without_end(self, batch_id: str, items: Sequence[Item]) -> list[Item]:
        if not items:
            return []
        settled = await self.settled(batch_id)
        ended = {k for k, one in settled.items() if one.outcome is not Outcome.POSTPONED}
        return [item for item in items if item.key not in ended]

    async def _unknown(
        self, batch: Batch, items: Sequence[Item], begun: Mapping[str, Begun]
    ) -> list[Settled]:
        """It was accepted, if ever, when it was begun, not when somebody noticed."""
        sender = self._senders.get(batch.origin.sender_id)
        author = sender.email_address if sender else ""
        kept = await self._kept_ids(batch, items)
        return [
            Settled(
                item,
                Outcome.UNKNOWN,
                begun[item.key].at,
                message_id=kept.get(item.lead_id)
                or message_id(item.delivery_id, author, self._message_id_key),
                author=author,
                reason=CRASHED,
            )
            for item in items
        ]

    async def _kept_ids(self, batch: Batch, items: Sequence[Item]) -> Mapping[str, str]:
        """Mail id -> the Message-ID that it came with."""
        if batch.origin.campaign_id or not items:
            return {}
        mails = await self._messages.get_many([item.lead_id for item in items])
        return {id_: stored.mail.message_id for id_, stored in mails.items()}
