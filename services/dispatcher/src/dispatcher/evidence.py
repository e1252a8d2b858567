"""Settles deliveries whose outcome is unknown (RFC 1047): by what is seen of them later."""

from collections.abc import Awaitable, Callable

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.ledger import Batch, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import NEVER
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.leads import Leads
from postfleet.instants import now_ms

_HELD = "held: its outcome stayed unknown"
_SEEN = "evidence: "


class Evidence:
    """`go_on` is called with a campaign and how many of its leads may be mailed again."""

    def __init__(
        self,
        deliveries: Deliveries,
        leads: Leads,
        announcer: Announcer,
        go_on: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._deliveries, self._leads, self._announcer = deliveries, leads, announcer
        self._go_on = go_on

    async def arrived(self, row: Row, proof: str) -> None:
        """Somebody opened, answered or bounced it, or it is in the Sent folder: it was accepted."""
        reason = row.document.get("reason", "")
        held = row.state == Outcome.SKIPPED.value and reason == _HELD
        if held or row.state == Outcome.UNKNOWN.value:
            await self._settle(row, Outcome.ACCEPTED, f"{_SEEN}{proof}")
        if held or reason.startswith(_SEEN):  # told again: we may have died before this
            await self._release(row)

    async def _release(self, row: Row) -> None:
        """The proof came later than the policy waited, and is still the truth: the lead goes on."""
        campaign_id = row.origin.campaign_id
        key = f"{campaign_id}:{row.item.lead_id}"
        await self._leads.release(key, now_ms())
        lead = await self._leads.get(key)
        if lead and lead.state is LeadState.ACTIVE and lead.due < NEVER:
            await self._go_on(campaign_id, 1)

    async def never_left(self, row: Row) -> None:
        """It is not where its neighbours are: it is sent again, with the same Message-ID."""
        if row.state == Outcome.UNKNOWN.value:
            await self._settle(row, Outcome.DEFERRED, "not in the Sent folder", retry_at=now_ms())

    async def hold(self, row: Row) -> None:
        """No evidence came: it is not sent again, and the lead gets nothing more."""
        await self._settle(row, Outcome.SKIPPED, _HELD)
        await self._leads.end([f"{row.origin.campaign_id}:{row.item.lead_id}"], LeadState.HELD)

    async def send_again(self, row: Row) -> None:
        """No evidence came, and this mail matters more than a double: the same Message-ID again."""
        reason = "sent again: its outcome stayed unknown"
        await self._settle(row, Outcome.DEFERRED, reason, retry_at=now_ms())

    async def _settle(
        self, row: Row, outcome: Outcome, reason: str, retry_at: int | None = None
    ) -> None:
        document = row.document
        batch = Batch(document["batch_id"], row.origin, (row.item,), document["updated_at"])
        # It was accepted, if ever, when the connection was lost, not when the proof was seen.
        at = document["updated_at"] if outcome is Outcome.ACCEPTED else now_ms()
        settled = Settled(
            row.item,
            outcome,
            at,
            message_id=row.message_id,
            author=document.get("author", ""),
            mail_subject=row.mail_subject,
            meaning="never_left" if outcome is Outcome.DEFERRED else "",
            fault="recipient" if outcome is Outcome.DEFERRED else "",  # no error of the sender
            reason=reason,
            retry_at=retry_at,
        )
        await self._announcer.settle(batch, [settled])
