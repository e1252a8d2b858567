"""Warm-up mails between senders of the fleet: today's by the registry's plan, and the answers.

They are mails of their own of the category `warmup`, under their sender's limits, without footer and
tracking. Their ids follow from sender, day and number: planning twice makes the same ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatcher.domain.draws import fraction
from dispatcher.domain.ledger import WARMUP
from dispatcher.domain.mail import CannotCompose, Mail, Parts, barred, compose, keyed_id
from dispatcher.domain.warmup_texts import Letter, answer, first_name, opening
from dispatcher.mail_intake import MailIntake
from dispatcher.store.senders import Senders
from postfleet.cloudevents import Received
from postfleet.events.inbox import WarmupReceived
from postfleet.events.senders import SenderSnapshot, SenderStatus
from postfleet.instants import from_ms, now_ms, to_ms
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused
from postfleet.tokens import Purpose, TokenKeys
from postfleet.topology import RPC_WARMUP

log = logging.getLogger(__name__)

FIELD = "X-Postfleet-Warmup"
_EXPIRES_MS = 24 * 3600 * 1000  # yesterday's small talk is of no use
_CATCH_UP_MS = 3600 * 1000  # what is overdue is spread over so long

#: subject, request -> answer; raises Unavailable and RequestRefused
Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class WarmupTimes:
    """In milliseconds. The mails of a day go within `day` from its beginning (UTC)."""

    every: int
    day: int
    answer: int  # an answer is written within this


class WarmupExchange:
    def __init__(
        self, senders: Senders, intake: MailIntake, keys: TokenKeys, ask: Ask, times: WarmupTimes
    ) -> None:
        self._senders, self._intake, self._keys = senders, intake, keys
        self._ask, self._times = ask, times
        self._taken: set[str] = set()  # of the day below: not to be written again at every pass
        self._day = ""

    async def run(self) -> None:
        """Runs for ever; a pass that fails is tried again at the next."""
        while True:
            try:
                await self.plan_once()
            except Exception as error:
                log.warning("planning warm-up mails failed, tried again soon: %r", error)
            await asyncio.sleep(self._times.every / 1000)

    async def plan_once(self) -> None:
        """Take in what is due until the next pass, of every sender that warms up."""
        moment = now_ms()
        for sender in self._senders.all():
            if sender.status is SenderStatus.WARMUP and barred(sender, moment) is None:
                await self._plan(sender, moment)

    async def _plan(self, sender: SenderSnapshot, moment: int) -> None:
        try:
            plan = await self._ask(RPC_WARMUP, {"sender_id": sender.sender_id})
        except (Unavailable, RequestRefused) as error:
            log.info("no warm-up plan for sender %s: %s", sender.sender_id, error)
            return
        if plan["date"] != self._day:
            self._day, self._taken = plan["date"], set()
        for exchange in plan["exchanges"]:
            id_ = keyed_id(WARMUP, f"{sender.sender_id}\x1f{plan['date']}\x1f{exchange['number']}")
            due = due_at(plan["date"], exchange["at"], moment, self._times)
            partner = self._senders.get(exchange["partner_id"])
            if id_ in self._taken or due is None or partner is None:
                continue
            if not _may_take_part(sender, partner):
                continue
            await self._open(id_, sender, partner, due, asked=exchange["reply"])
            self._taken.add(id_)

    async def _open(
        self, id_: str, sender: SenderSnapshot, partner: SenderSnapshot, due: int, *, asked: bool
    ) -> None:
        letter = opening(id_, _name(sender), _name(partner))
        await self._take(id_, sender, partner, letter, due, wanted="01" if asked else "00")

    async def answer(self, received: Received[WarmupReceived]) -> None:
        """Write the partner's answer, if one is wanted; the same event again changes nothing."""
        event = received.event
        partner, author = self._senders.get(event.partner_id), self._senders.get(event.sender_id)
        if not event.answer_wanted or partner is None or author is None:
            return
        if not _may_take_part(partner, author):
            return
        id_ = keyed_id(WARMUP, f"answer\x1f{event.delivery_id}")
        letter = answer(event.delivery_id, event.mail_subject, _name(partner), _name(author))
        due = to_ms(event.occurred_at) + int(_draw(id_) * self._times.answer)
        named = f"<{event.message_id.strip('<>')}>"
        thread = {"In-Reply-To": named, "References": named}
        await self._take(id_, partner, author, letter, due, wanted="00", headers=thread)

    async def _take(
        self,
        id_: str,
        sender: SenderSnapshot,
        partner: SenderSnapshot,
        letter: Letter,
        due: int,
        *,
        wanted: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        parts = Parts(
            author=sender.email_address,
            display_name=sender.display_name,
            subject=letter.subject,
            text=letter.text,
            headers=headers or {},
        )
        token = self._keys.make(Purpose.WARMUP, id_, wanted)
        try:
            content = f"{FIELD}: {token}\r\n".encode() + compose(parts, from_ms(due))
        except CannotCompose as error:  # the sender's display name
            log.warning("no warm-up mail of sender %s: %s", sender.sender_id, error)
            return
        mail = Mail(
            id=id_,
            sender_id=sender.sender_id,
            category=WARMUP,
            deliveries=((id_, partner.email_address),),
            created_at=now_ms(),
            due_at=due,
            expires_at=due + _EXPIRES_MS,
            subject=letter.subject,
            via=WARMUP,
        )
        await self._intake.accept(mail, content)


def due_at(date: str, part: float, moment: int, times: WarmupTimes) -> int | None:
    """When a mail of the day goes (epoch ms); None while it is too early to say.

    What should have gone long ago, because the sender or we were not there, is spread anew.
    """
    planned = to_ms(datetime.fromisoformat(date).replace(tzinfo=UTC)) + int(part * times.day)
    if planned > moment + times.every:
        return None
    if planned < moment - 2 * times.every:
        return moment + int(part * min(_CATCH_UP_MS, times.day))
    return planned


def _may_take_part(sender: SenderSnapshot, partner: SenderSnapshot) -> bool:
    """Living senders of two domains. Whether `sender` may send is asked when the mail goes."""
    gone = sender.deleted or partner.deleted or partner.suspended
    return not gone and partner.domain != sender.domain


def _name(sender: SenderSnapshot) -> str:
    return first_name(sender.display_name, sender.email_address)


def _draw(key: str) -> float:
    """0.05 to 1: nobody answers at once."""
    return 0.05 + 0.95 * fraction(key)
