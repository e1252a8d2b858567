"""What happens with a mail that arrived: understand, match, store with its events in one write."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inbox_watcher import metrics
from inbox_watcher.domain.effects import announcements
from inbox_watcher.domain.mailbox import Mailbox
from inbox_watcher.domain.matching import (
    Match,
    address_keys,
    as_answer,
    match_by_address,
    match_by_keys,
    match_by_subject,
    message_keys,
    thread_of,
    token_keys,
    warmup_of,
    worth_waiting,
)
from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind, Understood
from inbox_watcher.imap_answers import Fetched
from inbox_watcher.inbound_store import InboundStore, Place, Waiting
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import WarmupReceived
from postfleet.instants import from_ms, now, now_ms, to_ms
from postfleet.tokens import TokenContent, TokenKeys

log = logging.getLogger(__name__)

_CLOCK_TOLERANCE_MS = 5 * 60_000  # a reply may bear an earlier time than our own clock's
_RETRY_MS = 5000
_HUMAN_OR_MACHINE = (Kind.REPLY, Kind.AUTO, Kind.CHALLENGE, Kind.UNRELATED)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """`announce_soon` tells the outbox that something was written."""

    inbound: InboundStore
    sent: SentStore
    mailboxes: MailboxStore
    announce_soon: Callable[[], None]
    raw_kept_bytes: int
    match_ms: int
    keys: TokenKeys

    async def take(
        self, mailbox: Mailbox, folder: str, uid_validity: int, mails: Sequence[Fetched]
    ) -> list[int]:
        """Give each mail its effects; a rerun changes nothing. On return they are durable.

        Returns the UIDs of new warm-up mails, which are to be opened as their owner would.
        """
        warmup = []
        for fetched in mails:
            place = place_of(mailbox, folder, uid_validity, fetched)
            if fetched.raw is None:
                await self.unreadable(place, "the server did not give its text")
            elif await self._take(place, fetched.raw):
                warmup.append(fetched.uid)
        return warmup

    async def unreadable(self, place: Place, why: str) -> None:
        """Record a mail that cannot be read, so that the mailbox goes on and a human can look."""
        mail = Understood(Kind.UNRELATED, why, "", "", "", place.inbound_id)
        await self.inbound.add(place, mail, place.inbound_id, "unreadable", seen_at=now_ms())
        log.error("unreadable mail %s in %s: %s", place.uid, place.sender_id, why)

    async def _take(self, place: Place, raw: bytes) -> bool:
        """Whether it is a new warm-up mail."""
        mail = understand(raw, frozenset({place.mailbox}))
        effect_key = derived_id("mail", place.sender_id, mail.key)
        if await self.inbound.known(effect_key):
            return False
        human = mail.kind in _HUMAN_OR_MACHINE
        owner = await self.mailboxes.owner_of(mail.author) if human else ""
        token = warmup_of(mail, self.keys) if owner not in ("", place.sender_id) else None
        match = None if owner else await self._match(mail, place)
        mail = as_answer(mail) if match else mail
        events = await self._events(mail, match, place)
        state = _state(mail, match, own=bool(owner))
        if token is not None:
            state, events = "warmup", [_warmup_received(mail, token, owner, place)]
        added = await self.inbound.add(
            place,
            mail,
            effect_key,
            state,
            match=match,
            events=events,
            raw=raw[: self.raw_kept_bytes],
            seen_at=now_ms(),
            retry_until=now_ms() + self.match_ms,
        )
        if not added:
            return False
        metrics.classified.labels(mail.kind.value).inc()
        if events:
            self.announce_soon()
        return token is not None

    async def match(
        self, mail: Understood, sender_id: str, received_at: int, *, at_last: bool = False
    ) -> Match | None:
        """The delivery that the mail belongs to: by what it names, else by whom it is about.

        While the mail that it names may yet become known, the subject alone decides nothing: that
        is for `at_last`.
        """
        keys = message_keys(mail)
        found = match_by_keys(keys, await self.sent.by_message_ids(key.id for key in keys))
        if found is None and mail.tokens:
            named = token_keys(mail, self.keys)
            found = match_by_keys(named, await self.sent.by_delivery_ids(k.id for k in named))
        before = received_at + _CLOCK_TOLERANCE_MS
        if found is not None:
            return await self._to_whom_it_is_about(mail, found, before)
        recent = await self.sent.recent_to(address_keys(mail), sender_id, before)
        found = match_by_address(mail, recent)
        if found is not None or (keys and not at_last):
            return found
        return match_by_subject(mail, await self.sent.of_thread(thread_of(sender_id, mail.subject)))

    async def _to_whom_it_is_about(self, mail: Understood, found: Match, before: int) -> Match:
        """Of several deliveries with one Message-ID, the one to the address that the mail names."""
        people = {address.lower() for address in address_keys(mail)}
        if not people or found.sent.recipient in people:
            return found
        for sent in await self.sent.recent_to(people, found.sent.sender_id, before):
            if sent.message_id == found.sent.message_id:
                return Match(sent, found.matched_by)
        return found

    async def _match(
        self, mail: Understood, place: Place, *, at_last: bool = False
    ) -> Match | None:
        return await self.match(mail, place.sender_id, place.received_at, at_last=at_last)

    async def rematch(self, due: int) -> int:
        """Try again the mails that wait for their delivery; return how many were found now."""
        found = 0
        for waiting in await self.inbound.waiting(due):
            found += await self._rematch(waiting)
        if found:
            self.announce_soon()
        return found

    async def _rematch(self, waiting: Waiting) -> bool:
        place, mail = waiting.place, waiting.mail
        match = await self._match(mail, place, at_last=now_ms() >= waiting.retry_until)
        if match is not None:
            events = await self._events(mail, match, place)
            return await self.inbound.settle(place.inbound_id, "matched", match, events)
        if now_ms() < waiting.retry_until:
            await self.inbound.later(place.inbound_id, now_ms() + _RETRY_MS)
        elif await self.inbound.settle(place.inbound_id, "unmatched", None, ()):
            metrics.unmatched.labels(mail.kind.value).inc()
        return False

    async def _events(
        self, mail: Understood, match: Match | None, place: Place
    ) -> list[Announcement]:
        if match is None:
            return []
        received_at = from_ms(place.received_at)
        said = announcements(mail, match, place.inbound_id, received_at, now())
        return [event for event in said if not await self.inbound.said(event.id)]


def _state(mail: Understood, match: Match | None, *, own: bool) -> str:
    if own:
        return "own"
    if match is not None:
        return "matched"
    return "waiting" if worth_waiting(mail) else "ignored"


def _warmup_received(
    mail: Understood, token: TokenContent, author_id: str, place: Place
) -> Announcement:
    event = WarmupReceived(
        occurred_at=now(),
        delivery_id=token.delivery_id,
        sender_id=author_id,
        recipient=place.mailbox,
        message_id=mail.message_id,
        inbound_id=place.inbound_id,
        matched_by="warmup_token",
        received_at=from_ms(place.received_at),
        confidence=1.0,
        partner_id=place.sender_id,
        placement="inbox" if place.folder.upper() == "INBOX" else "junk",
        answer_wanted=token.link_id == "01",
        mail_subject=mail.subject,
    )
    return Announcement(event, derived_id(WarmupReceived.subject, token.delivery_id))


def place_of(mailbox: Mailbox, folder: str, uid_validity: int, fetched: Fetched) -> Place:
    received_at: datetime = fetched.received_at or now()
    return Place(
        inbound_id=derived_id("inbound", mailbox.sender_id, folder, uid_validity, fetched.uid),
        sender_id=mailbox.sender_id,
        mailbox=mailbox.address,
        folder=folder,
        uid_validity=uid_validity,
        uid=fetched.uid,
        received_at=to_ms(received_at),
        size_bytes=fetched.size_bytes,
    )
