"""What the dispatcher hears: senders, replies, bounces, complaints, unsubscribes, evidence."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.identity import lead_id
from dispatcher.domain.suppression import LIFTED_BY_RESUBSCRIBING, Kind
from dispatcher.evidence import Evidence
from dispatcher.policies import Policies
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.erasure import Erasure
from dispatcher.store.leads import Leads
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from dispatcher.suppressing import Suppressing
from postfleet.addresses import canonical
from postfleet.cloudevents import Announcement, Received, derived_id
from postfleet.consuming import Handler
from postfleet.events import EVENTS
from postfleet.events.deliveries import BounceHard, BounceSoft, DeliveryEvent, RecipientSuppressed
from postfleet.events.event import Event
from postfleet.events.inbox import (
    ComplaintReceived,
    DeliveryConfirmed,
    DeliveryDelayed,
    DeliveryRefuted,
    ReplyAutomatic,
    ReplyDetected,
    WarmupReceived,
)
from postfleet.events.senders import SenderEvent
from postfleet.events.tracking import PersonErased, RecipientResubscribed, RecipientUnsubscribed
from postfleet.instants import now, to_ms
from postfleet.outages import NotYet
from postfleet.smtp_reply import judge
from postfleet.smtp_reply_texts import CATEGORIES, POLICY

#: Hard bounces that say nothing against the address itself; some as older versions said it.
_NOT_THE_ADDRESS = frozenset(
    {"auth", "message_too_large", "sender_address", "sender_authentication", "sender_refused"}
    | {"rate_limited"}
    | {name for name, (level, _) in CATEGORIES.items() if level == POLICY}
)


class RowMissing(NotYet):
    """The delivery's row is not written yet: its settlement is being announced."""


class Feedback:
    def __init__(
        self,
        *,
        campaigns: Campaigns,
        leads: Leads,
        policies: Policies,
        deliveries: Deliveries,
        senders: Senders,
        suppressions: Suppressions,
        suppressing: Suppressing,
        evidence: Evidence,
        erasure: Erasure,
        throttled: Callable[[str, int], Awaitable[None]],
        concern: Callable[[str | None], None],
        wake_planner: Callable[[], None],
        warmup_received: Handler,
    ) -> None:
        self._policies, self._suppressing = policies, suppressing
        self._campaigns, self._leads, self._deliveries = campaigns, leads, deliveries
        self._senders, self._suppressions = senders, suppressions
        self._evidence, self._wake_planner = evidence, wake_planner
        self._erasure = erasure
        self._throttled, self._concern = throttled, concern
        self._warmup_received = warmup_received

    def reactions(self) -> Mapping[type[Event], Handler]:
        senders: dict[type[Event], Handler] = {
            cls: self.sender for cls in EVENTS.values() if issubclass(cls, SenderEvent)
        }
        return {
            **senders,
            ReplyDetected: self.reply,
            ReplyAutomatic: self.automatic_reply,
            BounceHard: self.hard_bounce,
            BounceSoft: self.soft_bounce,
            ComplaintReceived: self.complaint,
            DeliveryConfirmed: self.confirmed,
            DeliveryRefuted: self.refuted,
            DeliveryDelayed: self.delayed,
            RecipientUnsubscribed: self.unsubscribed,
            RecipientResubscribed: self.resubscribed,
            PersonErased: self.erased,
            WarmupReceived: self._warmup_received,
        }

    async def sender(self, received: Received[SenderEvent]) -> None:
        if await self._senders.apply(received.event.sender):
            self._wake_planner()

    async def reply(self, received: Received[ReplyDetected]) -> None:
        event = received.event
        mark = {"replied_at": to_ms(event.occurred_at)}
        row = await self._row(event, "a reply", **mark)
        await self._leads.mark_many({row.lead_key: mark})
        campaign = await self._campaigns.get(row.origin.campaign_id)
        if campaign is not None and campaign.check_reply:
            await self._leads.end([f"{campaign.id}:{row.item.lead_id}"], LeadState.REPLIED)
        if campaign is not None and campaign.pause_company_on_reply:
            why = f"{row.item.recipient} of the same company replied"
            await self._policies.pause_company(campaign, row.item.lead_id, why)

    async def automatic_reply(self, received: Received[ReplyAutomatic]) -> None:
        event = received.event
        await self._row(event, "an automatic reply", auto_replied_at=to_ms(event.occurred_at))

    async def hard_bounce(self, received: Received[BounceHard]) -> None:
        event = received.event
        await self._row(
            event,
            "a bounce" if event.observed == "dsn" else "",
            bounced_at=to_ms(event.occurred_at),
            bounce_category=event.category,
        )
        self._concern(event.campaign_id)
        if event.category not in _NOT_THE_ADDRESS:
            await self._suppress(received, "hard bounce", Kind.BOUNCE)

    async def soft_bounce(self, received: Received[BounceSoft]) -> None:
        event = received.event
        await self._row(
            event,
            "a bounce" if event.observed == "dsn" else "",
            soft_bounced_at=to_ms(event.occurred_at),
            bounce_category=event.category,
        )
        await self._notice(event)

    async def complaint(self, received: Received[ComplaintReceived]) -> None:
        event = received.event
        await self._row(event, "a complaint", complained_at=to_ms(event.occurred_at))
        self._concern(event.campaign_id)
        await self._suppress(received, "complaint", Kind.COMPLAINT)

    async def unsubscribed(self, received: Received[RecipientUnsubscribed]) -> None:
        """From everything; or, where the person chose so, from this campaign alone."""
        event = received.event
        if event.scope == "campaign" and event.campaign_id and event.lead_id:
            key = f"{event.campaign_id}:{event.lead_id}"
            await self._leads.end([key], LeadState.UNSUBSCRIBED)
            return
        if await self._suppressions.has_returned(
            canonical(event.recipient), to_ms(event.occurred_at)
        ):
            return  # told once more, or late: the person has come back since
        await self._suppress(received, "unsubscribed", Kind.UNSUBSCRIBE)

    async def resubscribed(self, received: Received[RecipientResubscribed]) -> None:
        """What the person alone had decided holds no more; a bounce or a complaint still does."""
        address, at = canonical(received.event.recipient), to_ms(received.event.occurred_at)
        await self._suppressions.lift(address, LIFTED_BY_RESUBSCRIBING, at)

    async def erased(self, received: Received[PersonErased]) -> None:
        """Leads and names go; a suppression stays as a keyed hash, so that nobody is mailed again."""
        address = canonical(received.event.recipient)
        await self._suppressions.forget(address)
        for lead in await self._leads.everywhere(lead_id(address)):
            await self._leads.delete(lead.key)
        await self._deliveries.end_waiting(lead_id(address), address)
        await self._erasure.erase(lead_id(address), address)

    async def confirmed(self, received: Received[DeliveryConfirmed]) -> None:
        await self._row(received.event, "the Sent folder")

    async def refuted(self, received: Received[DeliveryRefuted]) -> None:
        row = await self._find(received.event.delivery_id)
        await self._evidence.never_left(row)
        self._wake_planner()

    async def delayed(self, received: Received[DeliveryDelayed]) -> None:
        event = received.event
        await self._row(event, "a delay notice", delayed_at=to_ms(event.occurred_at))
        await self._notice(event)

    async def _notice(self, event: BounceSoft | DeliveryDelayed) -> None:
        """A DSN may tell what no reply to us did: that the receiver's servers want less."""
        told_by_dsn = isinstance(event, DeliveryDelayed) or event.observed == "dsn"
        category = judge(event.enhanced_status, event.diagnostic).category
        if told_by_dsn and category == "rate_limited":
            await self._throttled(event.recipient, to_ms(event.occurred_at))

    async def _row(self, event: DeliveryEvent, proof: str, **marks: Any) -> Row:
        """The delivery's row, with the marks set; `proof` settles it if it was unknown."""
        row = await self._find(event.delivery_id)
        if marks:
            await self._deliveries.mark(event.delivery_id, marks)
        if proof:
            await self._evidence.arrived(row, proof)
        return row

    async def _find(self, delivery_id: str) -> Row:
        row = await self._deliveries.get(delivery_id)
        if row is None:
            raise RowMissing(delivery_id)
        return row

    async def _suppress(self, received: Received[Any], reason: str, kind: Kind) -> None:
        event = received.event
        address = canonical(event.recipient)
        told = RecipientSuppressed(
            occurred_at=now(),
            recipient=address,
            reason=reason,
            delivery_id=event.delivery_id,
            campaign_id=event.campaign_id,
        )
        announcement = Announcement(told, derived_id(received.id, told.subject))
        at = to_ms(event.occurred_at)
        await self._suppressing.add(address, reason, received.source, kind, announcement, at)
