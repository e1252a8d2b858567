"""Double opt-in: a mail with a link to each lead that has not confirmed, once, and the answer to it."""

from dataclasses import dataclass
from hashlib import sha256

from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.consent import Consent, ConsentLevel
from dispatcher.domain.mail import Parts
from dispatcher.mail_intake import MailIntake
from dispatcher.revival import Revival
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import now_ms
from postfleet.tokens import Purpose, TokenKeys

PLACE = "{{ confirm_url }}"
_PASS = 500
_TIME_DIGITS = 8  # hexadecimal, of the second in which it was asked


@dataclass(frozen=True, slots=True)
class Invitation:
    """`text` holds PLACE, where each lead's own link goes."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a token asks, and until when it may be answered; in epoch ms."""

    lead_key: str
    expires_at: int


class OptIn:
    def __init__(
        self,
        leads: Leads,
        intake: MailIntake,
        keys: TokenKeys,
        public_url: str,
        revival: Revival,
        *,
        within_ms: int,
    ) -> None:
        self._leads, self._intake, self._keys = leads, intake, keys
        self._public_url, self._revival = public_url, revival
        self._within_ms = within_ms

    async def invite(self, campaign: Campaign, sender: SenderSnapshot, said: Invitation) -> int:
        """Write to every lead that waits for its confirmation and has no link that is still good.

        Returns how many mails are new.
        """
        made, cursor = 0, None
        while True:
            leads = await self._leads.page(campaign.id, cursor, _PASS, LeadState.UNCONFIRMED)
            old = [lead for lead in leads if lead.asked_at + self._within_ms <= now_ms()]
            for lead in old:
                made += await self._write(sender, said, lead)
            await self._leads.mark_many({lead.key: {"asked_at": now_ms()} for lead in old})
            if len(leads) < _PASS:
                return made
            cursor = leads[-1].queue

    async def _write(self, sender: SenderSnapshot, said: Invitation, lead: Lead) -> bool:
        """The id follows from when it was asked before: what is interrupted asks nobody twice."""
        asked = f"{now_ms() // 1000:08x}"
        token = self._keys.make(Purpose.CONFIRM, lead.campaign_id, lead.lead_id + asked)
        parts = Parts(
            author=sender.email_address,
            display_name=sender.display_name,
            subject=said.subject,
            text=said.text.replace(PLACE, f"{self._public_url.rstrip('/')}/confirm/{token}"),
        )
        id_ = sha256(f"opt-in\x1f{lead.key}\x1f{lead.asked_at}".encode()).hexdigest()[:32]
        _, new = await self._intake.compose(id_, sender, [lead.address], parts)
        return new

    def question(self, token: str) -> Question | None:
        """None if the token is not one of ours."""
        content = self._keys.read(Purpose.CONFIRM, token)
        if content is None:
            return None
        lead, asked = content.link_id[:-_TIME_DIGITS], content.link_id[-_TIME_DIGITS:]
        expires_at = int(asked, 16) * 1000 + self._within_ms
        return Question(f"{content.delivery_id}:{lead}", expires_at)

    async def confirm(self, lead_key: str) -> bool:
        """The person answered from the mailbox. False if there is no such lead. May be repeated."""
        while (lead := await self._leads.get(lead_key)) is not None:
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
