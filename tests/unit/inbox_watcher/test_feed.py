"""What the watcher hears ends in its replica and its index, however often it is said."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inbox_watcher.domain.matching import Match
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from inbox_watcher.handlers import Feed, StillWaiting
from inbox_watcher.inbound_store import InboundStore, Place
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.question_store import QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Announcement, Received
from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.events.senders import (
    MailServer,
    SenderCreated,
    SenderDeleted,
    SenderSnapshot,
    SenderUpdated,
)
from postfleet.events.tracking import PersonErased
from postfleet.instants import to_ms
from tests.support import redelivery
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
        self.database = database = mock_database("inbox_watcher")
        self.sent, self.mailboxes = SentStore(database.sent), MailboxStore(database.mailboxes)
        self.inbound = InboundStore(database.inbound)
        self.questions = QuestionStore(database.questions)
        self.woken: list[str] = []
        self.feed = Feed(
            self.sent,
            self.inbound,
            self.mailboxes,
            self.questions,
            1000,
            lambda: self.woken.append("sender"),
            lambda: self.woken.append("mail"),
        )

    async def hear(self, *events: Any) -> None:
        await self.feed.apply([Received(event, f"id{n}") for n, event in enumerate(events)])

    async def state(self) -> dict[str, Any]:
        """All documents by collection and id."""
        return {
            name: {d["_id"]: d async for d in self.database[name].find({}).limit(1000)}
            for name in ("sent", "mailboxes", "questions")
        }


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


async def test_an_erased_person_is_nowhere_in_what_came_back_and_others_stay() -> None:
    world = World()
    one, other = sent(1), sent(2).model_copy(update={"recipient": "bob@lead.test"})
    ann = one.recipient
    await world.hear(one, other)

    async def arrive(
        number: int,
        author: str,
        event: EmailSent,
        state: str = "matched",
        events: Sequence[Announcement] = (),
    ) -> None:
        known = (await world.sent.by_delivery_ids([event.delivery_id]))[event.delivery_id]
        mail = Understood(
            Kind.REPLY if "@lead.test" in author else Kind.BOUNCE,
            "a rule",
            author,
            f"Re: {author}",
            f"m{number}@x",
            f"key{number}",
            recipients=(Recipient(event.recipient, "", "5.1.1", None, ""),),
            text=f"Call me: {author}",
            tokens=(("reply", "token"),),
        )
        place = Place(f"in{number}", "s1", "s1@one.test", "INBOX", 7, number, 2000, 300)
        match = Match(known, "in_reply_to")
        said = {"match": match, "raw": b"From: x", "seen_at": number, "events": events}
        assert await world.inbound.add(place, mail, f"effect{number}", state, **said)

    await arrive(1, ann, one)
    await arrive(2, "mailer-daemon@mx.test", one)
    await arrive(3, "bob@lead.test", other)
    await arrive(4, ann, one, "waiting")
    erased = PersonErased(occurred_at=_LONG_AGO, recipient=ann)
    await arrive(5, ann, one, events=[Announcement(erased, "any event")])
    with pytest.raises(StillWaiting):
        await world.hear(erased)
    await world.database.inbound.update_one(
        {"_id": "in5"}, {"$set": {"outbox_size": 0, "outbox": {}}}
    )
    for _ in range(2):  # repeating it is harmless
        await world.hear(erased)
    kept = {d["_id"]: str(d) for d in await world.inbound.listed(None, None, None, 10)}
    assert [id_ for id_, text in kept.items() if ann in text or "Call me: mailer" in text] == []
    assert "Call me: bob@lead.test" in kept["in3"]
    assert all([await world.inbound.known(f"effect{n}") for n in range(1, 6)])
    assert await world.inbound.waiting(10) == []
    assert await world.sent.to(ann) == []
    assert await world.sent.to("bob@lead.test") == [other.delivery_id]


@pytest.mark.parametrize("seed", range(5))
async def test_everything_three_times_more_in_random_order_changes_nothing(seed: int) -> None:
    world = World()
    later = _LONG_AGO + timedelta(hours=1)
    facts = sent(99).model_dump(include=set(EmailUnknown.model_fields))
    told = [
        SenderCreated(occurred_at=_LONG_AGO, sender_id="s1", sender=snapshot(1)),
        *(sent(number) for number in range(20)),
        EmailUnknown(**facts),
        SenderUpdated(occurred_at=later, sender_id="s1", sender=snapshot(2, daily_limit=9)),
        SenderCreated(occurred_at=later, sender_id="s2", sender=snapshot(1, sender_id="s2")),
        SenderDeleted(
            occurred_at=later, sender_id="s2", sender=snapshot(2, sender_id="s2", deleted=True)
        ),
    ]
    said = [Announcement(event, f"id{number}") for number, event in enumerate(told)]
    await world.hear(*told)
    before = await world.state()
    assert all(before.values()), "each collection has something"
    await redelivery.hand_over(world.feed.apply, said, seed)
    assert await world.state() == before
