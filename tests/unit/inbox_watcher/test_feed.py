"""What the watcher hears ends in its replica and its index, however often it is said."""

from datetime import UTC, datetime, timedelta
from typing import Any

from inbox_watcher.handlers import Feed
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.question_store import QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Received
from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.events.senders import (
    MailServer,
    SenderCreated,
    SenderDeleted,
    SenderSnapshot,
    SenderUpdated,
)
from postfleet.instants import to_ms
from tests.support.mockmongo import mock_database

_LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
_SERVER = MailServer.model_validate(
    {"host": "imap.test", "port": 993, "security": "implicit", "username": "s"}
)


def snapshot(revision: int, **more: Any) -> SenderSnapshot:
    values: dict[str, Any] = {
        "sender_id": "s1",
        "revision": revision,
        "email_address": "s1@one.test",
        "domain": "one.test",
        "status": "ready",
        "health": 100,
        "daily_limit": 50,
        "effective_limit": 50,
        "smtp": _SERVER,
        "imap": _SERVER,
    }
    return SenderSnapshot.model_validate(values | more)


def sent(number: int) -> EmailSent:
    return EmailSent(
        occurred_at=_LONG_AGO,
        delivery_id=f"d{number}",
        sender_id="s1",
        recipient="Ann@lead.test",
        message_id=f"<m{number}@one.test>",
        mail_subject="Hello",
        step=2,
        variant="B",
        lead_id="lead",
        campaign_id="campaign",
    )


class World:
    """A feed on an empty database; `woken` counts what it told others."""

    def __init__(self) -> None:
        database = mock_database("inbox_watcher")
        self.sent, self.mailboxes = SentStore(database.sent), MailboxStore(database.mailboxes)
        self.questions = QuestionStore(database.questions)
        self.woken: list[str] = []
        self.feed = Feed(
            self.sent,
            self.mailboxes,
            self.questions,
            1000,
            lambda: self.woken.append("sender"),
            lambda: self.woken.append("mail"),
        )

    async def hear(self, *events: Any) -> None:
        await self.feed.apply([Received(event, f"id{n}") for n, event in enumerate(events)])


async def test_the_newest_snapshot_counts_and_the_first_event_tells_since_when() -> None:
    world = World()
    created = SenderCreated(occurred_at=_LONG_AGO, sender_id="s1", sender=snapshot(1))
    later = _LONG_AGO + timedelta(days=90)
    server = _SERVER.model_copy(update={"host": "new.test"})
    updated = SenderUpdated(occurred_at=later, sender_id="s1", sender=snapshot(2, imap=server))
    await world.hear(created, updated)
    await world.hear(created)
    found = await world.mailboxes.find("s1")
    assert found is not None
    assert (found.login.host, found.registered_at) == ("new.test", _LONG_AGO)
    assert await world.mailboxes.overdue(0) == [], "an old event breaks no promise of today"
    deleted = SenderDeleted(occurred_at=later, sender_id="s1", sender=snapshot(3, deleted=True))
    await world.hear(deleted)
    assert await world.mailboxes.find("s1") is None
    assert world.woken == ["sender"] * 3


async def test_sent_mails_are_kept_by_their_id_without_brackets() -> None:
    world = World()
    await world.hear(sent(1), sent(2))
    await world.hear(sent(2), sent(1), sent(3))
    found = await world.sent.by_message_ids([f"m{n}@one.test" for n in range(1, 4)])
    assert [mail.delivery_id for mail in found.values()] == ["d1", "d2", "d3"]
    mail = found["m1@one.test"]
    assert (mail.recipient, mail.step, mail.variant) == ("ann@lead.test", 2, "B")
    assert (mail.campaign_id, mail.lead_id, mail.subject) == ("campaign", "lead", "Hello")
    assert world.woken == ["mail", "mail"]


async def test_a_mail_of_unknown_outcome_is_asked_about_once_and_replies_match_it() -> None:
    world = World()
    doubtful = EmailUnknown(
        occurred_at=_LONG_AGO,
        delivery_id="d1",
        sender_id="s1",
        recipient="Ann@lead.test",
        message_id="<m1@one.test>",
        attempt=2,
    )
    await world.hear(doubtful)
    await world.hear(doubtful)
    asked_at = to_ms(_LONG_AGO)
    (question,) = await world.questions.due(asked_at + 1000, ["s1"])
    assert (question.id, question.mail.message_id, question.looks) == ("d1:2", "m1@one.test", 0)
    assert await world.questions.due(asked_at + 999, ["s1"]) == []
    assert (await world.sent.by_message_ids(["m1@one.test"]))["m1@one.test"].certain is False
    await world.hear(sent(1))
    mail = (await world.sent.by_message_ids(["m1@one.test"]))["m1@one.test"]
    assert (mail.certain, mail.subject) == (True, "Hello")
    await world.hear(doubtful)
    assert (await world.sent.by_message_ids(["m1@one.test"]))["m1@one.test"].certain is True
