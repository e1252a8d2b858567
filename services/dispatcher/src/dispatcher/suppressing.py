"""Suppressing somebody: the entry and its event in one write, then no more mail in any campaign."""

from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.identity import lead_id
from dispatcher.domain.suppression import Kind
from dispatcher.store.leads import Leads
from dispatcher.store.suppressions import Suppressions
from postfleet.cloudevents import Announcement
from postfleet.events.deliveries import RecipientSuppressed
from postfleet.instants import now
from postfleet.outbox import OutboxRelay

_STATES = {
    Kind.BOUNCE: LeadState.INVALID,
    Kind.COMPLAINT: LeadState.UNSUBSCRIBED,
    Kind.UNSUBSCRIBE: LeadState.UNSUBSCRIBED,
    Kind.CONSENT_WITHDRAWN: LeadState.UNSUBSCRIBED,
    Kind.MANUAL: LeadState.SUPPRESSED,
}


class Suppressing:
    def __init__(self, suppressions: Suppressions, leads: Leads, relay: OutboxRelay) -> None:
        self._suppressions, self._leads, self._relay = suppressions, leads, relay

    async def add(
        self,
        entry: str,
        reason: str,
        source: str,
        kind: Kind,
        announcement: Announcement | None = None,
        at: int | None = None,
    ) -> bool:
        """False if it was there for this kind of reason already. May be repeated.

        `at` is when the fact happened, in milliseconds; now if nobody says.
        Leads of a suppressed domain end when they are due.
        """
        event = RecipientSuppressed(occurred_at=now(), recipient=entry, reason=reason)
        said = announcement or Announcement(event)
        new = await self._suppressions.add(entry, reason, source, [said], kind, at)
        if new:
            self._relay.wake()
        if not entry.startswith("@"):
            await self._leads.end_everywhere(lead_id(entry), _STATES[kind])
        return new
