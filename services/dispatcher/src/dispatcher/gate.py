"""The last look before mail goes: what was true when the batch was planned may not be any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dispatcher.catalogue import Catalogue
from dispatcher.domain.campaigns import Campaign, CampaignState, LeadState
from dispatcher.domain.consent import mailable
from dispatcher.domain.eligibility import Capacity, exclusion
from dispatcher.domain.identity import delivery_id
from dispatcher.domain.ledger import Batch, Item, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.grouped import joined
from dispatcher.mail_gate import MailContext, MailGate
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import to_ms

_LOOK_AGAIN_MS = 60_000
_HELD_BACK_MS = 15 * 60_000
_FINAL_RULES = frozenset({"deleted"})


@dataclass(frozen=True, slots=True)
class Context:
    """What sending needs to know; leads by lead id, rows of earlier steps by delivery id."""

    campaign: Campaign
    sender: SenderSnapshot
    leads: Mapping[str, Lead]
    earlier: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who may be mailed now, and what is settled without a try."""

    allowed: Sequence[Item] = ()
    settled: Sequence[Settled] = ()
    found: Context | MailContext | None = field(default=None)

    @property
    def context(self) -> Context | MailContext:
        if self.found is None:
            raise RuntimeError("nothing was allowed")
        return self.found


class Gate:
    def __init__(
        self,
        catalogue: Catalogue,
        senders: Senders,
        leads: Leads,
        suppressions: Suppressions,
        deliveries: Deliveries,
        mails: MailGate,
    ) -> None:
        self._mails = mails
        self._catalogue = catalogue
        self._senders = joined(senders.fresh_many)
        self._leads, self._deliveries = joined(leads.get_many), joined(deliveries.get_many)
        self._suppressions = joined(suppressions.of)

    async def check(self, batch: Batch, now: int) -> Verdict:
        if not batch.origin.campaign_id:
            mails = await self._mails.check(batch, now)
            return Verdict(mails.allowed, mails.settled, mails.context)
        campaign = await self._catalogue.campaign(batch.origin.campaign_id)
        sender_id = batch.origin.sender_id
        sender = (await self._senders([sender_id])).get(sender_id)
        if campaign is None or sender is None:
            return _all(batch, Outcome.SKIPPED, now, "the campaign or the sender is not known")
        if campaign.state is not CampaignState.RUNNING:
            return _all(batch, Outcome.POSTPONED, now, f"the campaign is {campaign.state}", now)
        barred = exclusion(sender, Capacity(1, 0), now)
        if barred and barred.rule in _FINAL_RULES:
            return _all(batch, Outcome.SKIPPED, now, barred.detail)
        if barred:
            return _all(batch, Outcome.POSTPONED, now, barred.detail, _again(sender, now))
        return await self._people(batch, campaign, sender, now)

    async def _people(
        self, batch: Batch, campaign: Campaign, sender: SenderSnapshot, now: int
    ) -> Verdict:
        keys = [f"{campaign.id}:{item.lead_id}" for item in batch.items]
        leads = {lead.lead_id: lead for lead in (await self._leads(keys)).values()}
        suppressed = await self._suppressions([item.recipient for item in batch.items])
        allowed, settled = [], []
        for item in batch.items:
            lead = leads.get(item.lead_id)
            if lead is not None and (why := _held_back(campaign, lead)):
                again = now + _HELD_BACK_MS  # it may be resumed, or confirm
                settled.append(Settled(item, Outcome.POSTPONED, now, reason=why, retry_at=again))
                continue
            if lead is None or lead.state is not LeadState.ACTIVE:
                reason = f"the lead is {lead.state if lead else 'deleted'}"
            elif item.recipient in suppressed:
                reason = f"suppressed: {suppressed[item.recipient]}"
            else:
                allowed.append(item)
                continue
            settled.append(Settled(item, Outcome.SKIPPED, now, reason=reason))
        earlier = await self._earlier(batch, allowed)
        return Verdict(allowed, settled, Context(campaign, sender, leads, earlier))

    async def _earlier(self, batch: Batch, items: Sequence[Item]) -> Mapping[str, Row]:
        origin = batch.origin
        ids = [
            delivery_id(origin.campaign_id, item.lead_id, step)
            for item in items
            for step in range(origin.step)
        ]
        return await self._deliveries(ids)


def _held_back(campaign: Campaign, lead: Lead) -> str:
    """Why a lead that may still get this mail does not get it now."""
    if lead.state is LeadState.PAUSED:
        return f"the lead is paused: {lead.reason or 'by an operator'}"
    open_to_mail = lead.state in (LeadState.ACTIVE, LeadState.UNCONFIRMED)
    if open_to_mail and not mailable(lead.consent, campaign.require_opt_in):
        return "the campaign requires an opt-in, and the lead has not confirmed"
    return "the lead has not confirmed" if lead.state is LeadState.UNCONFIRMED else ""


def _all(
    batch: Batch, outcome: Outcome, now: int, reason: str, retry_at: int | None = None
) -> Verdict:
    return Verdict(
        settled=[
            Settled(item, outcome, now, reason=reason, retry_at=retry_at) for item in batch.items
        ]
    )


def _again(sender: SenderSnapshot, now: int) -> int:
    """When a barred sender is worth another look."""
    if sender.cooldown_until is not None:
        return max(to_ms(sender.cooldown_until), now)
    return now + _LOOK_AGAIN_MS
