"""Each key by which a mail finds its delivery, from the bytes of the mail to the event that it says."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.domain.effects import announcements
from inbox_watcher.domain.matching import CONFIDENCE, Sent, thread_of
from inbox_watcher.domain.understand import understand
from inbox_watcher.sent_store import SentStore
from postfleet.events.inbox import InboxEvent
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys

_KEYS = TokenKeys(KeyRing.parse(KeyRing.generate()))
_NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
_DELIVERY = "ab" * 16
_OURS = Sent(
    message_id="m1@fleet.example",
    delivery_id=_DELIVERY,
    sender_id="s1",
    recipient="ann@lead.example",
    sent_at=1,
    subject="Your question",
)
_OTHER = replace(_OURS, message_id="m0@fleet.example", delivery_id="cd" * 16, subject="Elsewhere")


class Remembered:
    """What was sent, as the store answers."""

    def __init__(self, *mails: Sent) -> None:
        self._mails = mails

    async def by_message_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = set(ids)
        return {mail.message_id: mail for mail in self._mails if mail.message_id in wanted}

    async def by_delivery_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = set(ids)
        return {mail.delivery_id: mail for mail in self._mails if mail.delivery_id in wanted}

    async def recent_to(self, addresses: Iterable[str], sender_id: str, before: int) -> list[Sent]:
        named = set(addresses)
        return [mail for mail in self._mails if mail.recipient in named]

    async def of_thread(self, thread: str) -> list[Sent]:
        return [m for m in self._mails if thread_of(m.sender_id, m.subject) == thread]


def answer(author: str = "somebody@elsewhere.example", **fields: str) -> bytes:
    lines = {"From": author, "Message-ID": "<a1@lead.example>", "Subject": "Re: Hi", **fields}
    head = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in lines.items())
    return f"{head}\nYes.\n".encode()


def report(recipient: str, subject: str, *returned: str) -> bytes:
    copy = "".join(f"{line}\n" for line in returned)
    enclosed = f"--b\nContent-Type: text/rfc822-headers\n\n{copy}\n" if returned else ""
    return (
        f"From: MAILER-DAEMON@mx.example\nSubject: {subject}\nMessage-ID: <b1@mx.example>\n"
        "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n\n{enclosed}--b--\n"
    ).encode()


_REPLY_TO = f"Max <max+{_KEYS.make(Purpose.REPLY, _DELIVERY)}@fleet.example>"
_FIELD = f"X-Postfleet-Delivery: {_KEYS.make(Purpose.DELIVERY, _DELIVERY)}"
_MAILS = {
    "returned_message_id": report("x@y.example", "Failure", "Message-ID: <m1@fleet.example>"),
    "in_reply_to": answer(In_Reply_To="<m1@fleet.example>"),
    "reply_token": answer(To=_REPLY_TO, In_Reply_To="<rewritten@provider.example>"),
    "returned_token": report("x@y.example", "Failure", "Message-ID: <new@p.example>", _FIELD),
    "references": answer(In_Reply_To="<theirs@x.example>", References="<m1@fleet.example>"),
    "recipient_and_subject": report("ann@lead.example", "Re: Your question"),
    "author_and_subject": answer("ann@lead.example", Subject="Re: Your question"),
    "recipient": report("ann@lead.example", "Undelivered Mail Returned to Sender"),
    "author": answer("ann@lead.example", Subject="Re: something else"),
    "subject": answer("bob@lead.example", Subject="AW: Your question"),
}


def test_there_is_a_mail_for_every_key() -> None:
    assert set(_MAILS) == set(CONFIDENCE)


@pytest.mark.seed("S182", "S186")
@pytest.mark.parametrize("key", _MAILS)
async def test_the_event_tells_by_what_the_mail_was_matched_and_how_sure_that_is(key: str) -> None:
    store = cast(SentStore, Remembered(_OTHER, _OURS) if key != "recipient" else Remembered(_OURS))
    if key == "author":
        store = cast(SentStore, Remembered(_OURS))
    nothing: Any = None
    arrivals = Arrivals(nothing, store, nothing, nothing, 0, 0, _KEYS)
    mail = understand(_MAILS[key])
    match = await arrivals.match(mail, "s1", 10, at_last=True)
    assert match is not None
    assert (match.matched_by, match.sent.delivery_id) == (key, _DELIVERY)
    (said,) = announcements(mail, match, "inbound-1", _NOW, _NOW)
    event = cast(InboxEvent, said.event)
    assert (event.matched_by, event.confidence) == (key, CONFIDENCE[key])
    assert event.delivery_id == _DELIVERY


def test_what_our_own_key_proves_and_what_names_the_mail_is_surer_than_what_only_fits() -> None:
    proofs = ("returned_message_id", "in_reply_to", "reply_token", "returned_token")
    guesses = ("recipient", "author", "subject")
    assert min(CONFIDENCE[key] for key in proofs) > max(CONFIDENCE[key] for key in guesses)
    assert all(0 < confidence <= 1 for confidence in CONFIDENCE.values())
