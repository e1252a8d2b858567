"""Double opt-in: a mail with a link to each lead that has not confirmed, once, and the answer to it."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.consent import Consent, ConsentLevel
from dispatcher.domain.mail import Parts
from dispatcher.mail_intake import MailIntake
from dispatcher.revival import Revival
from dispatcher.store.leads import Lead, Leads
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import now_ms
from postfleet.tokens import Purpose, TokenContent, TokenKeys

PLACE = "{{ confirm_url }}"
_PASS = 500
_AGAIN_AFTER = timedelta(days=30)  # the same mail to the same lead is one mail in this time


@dataclass(frozen=True, slots=True)
class Invitation:
    """`text` holds PLACE, where each lead's own link goes."""

    subject: str
    text: str


class OptIn:
    def __init__(
        self,
        leads: Leads,
        intake: MailIntake,
        keys: TokenKeys,
        public_url: str,
        revival: Revival,
    ) -> None:
        self._leads, self._intake, self._keys = leads, intake, keys
        self._public_url, self._revival = public_url, revival

    async def invite(self, campaign: Campaign, sender: SenderSnapshot, said: Invitation) -> int:
        """Write to every lead that waits for its confirmation; returns how many mails are new."""
        made, cursor = 0, None
        while True:
            leads = await self._leads.page(campaign.id, cursor, _PASS, LeadState.UNCONFIRMED)
            for lead in leads:
                made += await self._write(sender, said, lead)
            if len(leads) < _PASS:
                return made
            cursor = leads[-1].queue

    async def _write(self, sender: SenderSnapshot, said: Invitation, lead: Lead) -> bool:
        token = self._keys.make(Purpose.CONFIRM, lead.campaign_id, lead.lead_id)
        parts = Parts(
            author=sender.email_address,
            display_name=sender.display_name,
            subject=said.subject,
            text=said.text.replace(PLACE, f"{self._public_url.rstrip('/')}/confirm/{token}"),
        )
        period = now_ms() // int(_AGAIN_AFTER.total_seconds() * 1000)
        id_ = sha256(f"opt-in\x1f{lead.key}\x1f{period}".encode()).hexdigest()[:32]
        _, new = await self._intake.compose(id_, sender, [lead.address], parts)
        return new

    async def confirm(self, content: TokenContent) -> bool:
        """The person answered from the mailbox. False if there is no such lead. May be repeated."""
        key = f"{content.delivery_id}:{content.link_id}"
        while (lead := await self._leads.get(key)) is not None:
            if lead.consent.level is ConsentLevel.CONFIRMED:
                return True
            confirmed = Consent(ConsentLevel.CONFIRMED, now_ms(), _source(lead.consent))
            waiting = lead.state is LeadState.UNCONFIRMED
            state = LeadState.ACTIVE if waiting else lead.state
            if await self._leads.change(lead, consent=confirmed, state=state):
                await self._revival.of(lead.campaign_id, int(waiting))
                return True
        return False


def _source(before: Consent) -> str:
    """How it was asked for stays on record beside how it was confirmed."""
    return f"confirmed by link; before: {before.source}" if before.source else "confirmed by link"
