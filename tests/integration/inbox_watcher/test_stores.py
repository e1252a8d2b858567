"""One behaviour of the watcher's stores, on every database there is."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.domain.mailbox import Cursor
from inbox_watcher.domain.matching import Match, Sent
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from inbox_watcher.inbound_store import InboundStore, Place
from inbox_watcher.mailbox_store import Look, MailboxStore
from inbox_watcher.question_store import Question, QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Announcement
from postfleet.events.inbox import ReplyDetected, WatcherStale
from postfleet.events.senders import MailServer, SenderSnapshot
from postfleet.mongo import Mongo
from postfleet.smtp_reply import Severity
from tests.support.mockmongo import mock_database
from tests.support.mongo import MongoServer

_NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
_SENT = Sent("m1@x", "delivery", "s1", "ann@lead.test", 1000, campaign_id="c", step=2, subject="Hi")
_MAIL = Understood(
    Kind.BOUNCE,
    "why",
    "mailer-daemon@lead.test",
    "Undelivered",
    "r1@lead",
    "key",
    in_reply_to=("m1@x",),
    recipients=(Recipient("ann@lead.test", "", "5.1.1", Severity.HARD, "unknown_user"),),
)


@pytest.fixture(params=["embedded", "mongomock"])
def database(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "mongomock":
        yield mock_database("inbox_watcher")
        return
    server: MongoServer = request.getfixturevalue("mongo_server")
    prefix = server.database(f"is{secrets.token_hex(3)}_")
    yield Mongo(server.url, "inbox-watcher", prefix).database


def place(uid: int = 1) -> Place:
    return Place(f"inbound{uid}", "s1", "s1@one.test", "INBOX", 7, uid, 2000, 300)


def event() -> Announcement:
    reply = ReplyDetected(
        occurred_at=_NOW, delivery_id="d", sender_id="s1", recipient="ann@lead.test", message_id="m"
    )
    return Announcement(reply, "event1")


async def test_deliveries_of_one_message_id_are_told_apart_by_their_recipients(
    database: Any,
) -> None:
    store = SentStore(database.sent_index)
    other = replace(_SENT, delivery_id="other", recipient="bob@lead.test")
    for _ in range(2):
        await store.add([_SENT, other])
    assert (await store.by_message_ids(["m1@x"]))["m1@x"].recipient == "ann@lead.test"
    (found,) = await store.recent_to(["Bob@lead.test"], "s1", 5000)
    assert (found.delivery_id, found.message_id) == ("other", "m1@x")
    nothing: Any = None  # but what was sent is asked for
    arrivals = Arrivals(nothing, store, nothing, nothing, 0, 0, nothing)
    about_bob = replace(
        _MAIL,
        recipients=(Recipient("bob@lead.test", "", "5.1.1", Severity.HARD, "unknown_user"),),
    )
    about = [await arrivals.match(mail, "s1", 5000) for mail in (_MAIL, about_bob)]
    assert [match.sent.delivery_id for match in about if match] == ["delivery", "other"]


async def test_sent_mails_are_remembered_once_and_found_by_id_and_by_address(
    database: Any,
) -> None:
    store = SentStore(database.sent_index)
    await store.ensure_indexes()
    later = replace(_SENT, message_id="m2@x", delivery_id="later", sent_at=2000)
    await store.add([_SENT])
    await store.add([replace(_SENT, delivery_id="a repetition"), later])
    assert await store.by_message_ids(["m1@x", "unknown", "m1@x"]) == {"m1@x": _SENT}
    assert await store.by_message_ids([]) == {}
    assert await store.recent_to(["ANN@lead.test"], "s1", 9000) == [later, _SENT]
    assert await store.recent_to(["ann@lead.test"], "s1", 1500) == [_SENT]
    assert await store.recent_to(["ann@lead.test"], "another", 9000) == []
    assert await store.recent_to([], "s1", 9000) == []
    assert len(await store.of_thread(_SENT.thread)) == 2
    assert await store.of_thread("") == []
    await store.forget(1500)
    assert await store.by_message_ids(["m1@x", "m2@x"]) == {"m2@x": later}


async def test_a_mail_in_doubt_becomes_certain_and_neighbours_are_the_accepted_ones_around(
    database: Any,
) -> None:
    store = SentStore(database.sent_index)
    await store.ensure_indexes()
    doubtful = replace(_SENT, certain=False, subject="", sent_at=5000)
    around = [
        replace(_SENT, message_id=f"n{at}@x", delivery_id=f"n{at}", sent_at=at)
        for at in range(1000, 10_000, 1000)
    ]
    elsewhere = replace(_SENT, message_id="other@x", sender_id="s2", sent_at=5000)
    await store.add([doubtful, *around, elsewhere])
    names = await store.neighbours("s1", 5000, 8000)
    assert names == ["n4000@x", "n3000@x", "n2000@x", "n5000@x", "n6000@x", "n7000@x"]
    assert await store.neighbours("s1", 10**9, 10**10) == []
    assert (await store.by_message_ids(["m1@x"]))["m1@x"].certain is False
    await store.add([replace(_SENT, sent_at=5000)])
    await store.add([doubtful])
    assert await store.by_message_ids(["m1@x"]) == {"m1@x": replace(_SENT, sent_at=5000)}


async def test_a_question_is_asked_when_due_and_closed_once_with_its_events(database: Any) -> None:
    store = QuestionStore(database.questions)
    await store.ensure_indexes()
    one = Question(replace(_SENT, certain=False, subject="", sent_at=1000), 1)
    two = replace(one, attempt=2)
    await store.ask([one, two], 500)
    await store.ask([one], 9000)
    assert sorted(q.id for q in await store.due(1500, ["s1", "s9"])) == [one.id, two.id]
    assert await store.due(1500, ["s9"]) == []
    assert await store.due(1499, ["s1"]) == []
    await store.looked([(one, 3000)])
    await store.postpone([(two, 4000)])
    assert await store.due(3000, ["s1"]) == [replace(one, looks=1)]
    await store.close([(one, "refuted", [event()]), (two, "settled", [])])
    await store.close([(one, "confirmed", [])])
    documents = {d["_id"]: d async for d in database.questions.find({})}
    assert {id_: d["state"] for id_, d in documents.items()} == {
        one.id: "refuted",
        two.id: "settled",
    }
    assert list(documents[one.id]["outbox"]) == ["event1"]
    assert await store.due(10**12, ["s1"]) == []
    await store.forget(10**12)
    kept = [d["_id"] async for d in database.questions.find({})]
    assert kept == [one.id], "what is not announced yet is kept"


async def test_a_mail_is_stored_once_by_its_place_and_once_by_what_it_is(database: Any) -> None:
    store = InboundStore(database.inbound)
    await store.ensure_indexes()
    match = Match(_SENT, "in_reply_to")

    async def add(uid: int, effect_key: str) -> bool:
        return await store.add(
            place(uid), _MAIL, effect_key, "matched", match=match, events=[event()], seen_at=uid
        )

    assert not await store.known("e1")
    assert await add(1, "e1")
    assert not await add(1, "e2"), "the same place"
    assert not await add(2, "e1"), "the same mail in another folder"
    assert await add(3, "e3")
    assert await store.known("e3")
    assert await store.said("event1")
    assert not await store.said("event2")
    found = await store.get("inbound1")
    assert found is not None
    assert (found["outbox_size"], found["delivery_id"]) == (1, "delivery")
    assert list(found["outbox"]) == ["event1"]


async def test_a_waiting_mail_comes_back_as_it_was_and_is_settled_once(database: Any) -> None:
    store = InboundStore(database.inbound)
    await store.ensure_indexes()
    await store.add(place(), _MAIL, "e1", "waiting", seen_at=1000, retry_until=9000)
    assert await store.waiting(999) == []
    (waiting,) = await store.waiting(1000)
    assert (waiting.place, waiting.mail, waiting.retry_until) == (place(), _MAIL, 9000)
    await store.later("inbound1", 3000)
    assert await store.waiting(1000) == []
    match = Match(_SENT, "recipient")
    assert await store.settle("inbound1", "matched", match, [event()])
    assert not await store.settle("inbound1", "unmatched", None, ())
    found = await store.get("inbound1")
    assert found is not None
    assert (found["state"], found["matched_by"], found["outbox_size"]) == (
        "matched",
        "recipient",
        1,
    )


async def test_lists_are_newest_first_and_filtered(database: Any) -> None:
    store = InboundStore(database.inbound)
    await store.ensure_indexes()
    for uid in range(1, 5):
        mail = replace(_MAIL, kind=Kind.REPLY if uid % 2 else Kind.BOUNCE)
        await store.add(place(uid), mail, f"e{uid}", "ignored", seen_at=uid)
    page = await store.listed("s1", None, None, 3)
    assert [document["uid"] for document in page] == [4, 3, 2]
    following = await store.listed("s1", None, page[-1]["order"], 3)
    assert [document["uid"] for document in following] == [1]
    assert [d["uid"] for d in await store.listed(None, "reply", None, 9)] == [3, 1]
    assert await store.listed("nobody", None, None, 9) == []
    await store.forget(3)
    assert [d["uid"] for d in await store.listed(None, None, None, 9)] == [4, 3]


def snapshot(revision: int = 1, **more: Any) -> SenderSnapshot:
    server = {"host": "imap.test", "port": 993, "security": "implicit", "username": "s1"}
    values: dict[str, Any] = {
        "sender_id": "s1",
        "revision": revision,
        "email_address": "S1@one.test",
        "domain": "one.test",
        "status": "ready",
        "health": 100,
        "daily_limit": 50,
        "effective_limit": 50,
        "smtp": MailServer.model_validate(server),
        "imap": MailServer.model_validate(server),
    }
    return SenderSnapshot.model_validate(values | more)


async def test_the_replica_takes_newer_snapshots_only(database: Any) -> None:
    store = MailboxStore(database.mailboxes)
    await store.ensure_indexes()
    await store.apply(snapshot(2), 1000, 1000)
    await store.apply(snapshot(1, suspended=True), 1100, 1100)
    assert (await store.find("s1")) is not None
    assert await store.owner_of("s1@ONE.test") == "s1"
    assert await store.owner_of("other@one.test") == ""
    await store.apply(snapshot(3, suspended=True), 1200, 1200)
    assert (await store.find("s1")) is None
    assert await store.owner_of("s1@one.test") == "s1", "still an address of ours"
    await store.apply(snapshot(4), 50_000, 50_000)
    found = await store.find("s1")
    assert found is not None
    assert found.registered_at.timestamp() == 1
    assert await store.overdue(40_000) == [], "the promise begins anew"
    await store.apply(snapshot(5, imap=None), 60_000, 60_000)
    assert (await store.find("s1")) is None


async def test_a_lease_has_one_owner_until_it_ends(database: Any) -> None:
    store = MailboxStore(database.mailboxes)
    await store.ensure_indexes()
    await store.apply(snapshot(), 1000, 1000)
    assert [m.sender_id for m in await store.claim("a", 1000, 2000, 10)] == ["s1"]
    assert await store.claim("b", 1500, 2500, 10) == []
    assert await store.renew("a", 3000) == {"s1": 1}
    assert [m.revision for m in await store.those(["s1", "s9"])] == [1]
    assert await store.those([]) == []
    assert await store.claim("b", 2500, 3500, 10) == []
    assert await store.save_cursor("a", "s1", "IN.BOX $", Cursor(7, 12))
    (taken,) = await store.claim("b", 3000, 4000, 10)
    assert taken.cursors == {"IN.BOX $": Cursor(7, 12)}
    assert not await store.save_cursor("a", "s1", "INBOX", Cursor(7, 99)), "a's lease is lost"
    assert await store.renew("a", 9000) == {}
    await store.release("a", ["s1"], 3500)
    assert await store.claim("a", 3500, 4500, 10) == [], "not a's to give back"
    await store.release("b", ["s1"], 3500)
    assert len(await store.claim("a", 3500, 4500, 10)) == 1


async def test_a_broken_promise_is_told_once_and_its_end_once(database: Any) -> None:
    store = MailboxStore(database.mailboxes)
    await store.ensure_indexes()
    await store.apply(snapshot(), 1000, 1000)
    await store.claim("a", 1000, 2000, 10)
    await store.note("a", {"s1": Look(0, "failing", "no route")})
    (overdue,) = await store.overdue(5000)
    assert (overdue.looked_at, overdue.error) == (1000, "no route")
    stale = Announcement(WatcherStale(occurred_at=_NOW, sender_id="s1", since=_NOW), "stale1")
    assert await store.tell(overdue, "yes", stale)
    assert not await store.tell(overdue, "yes", stale)
    assert await store.overdue(5000) == []
    assert await store.recovered(1001) == []
    await store.note("a", {"s1": Look(6000, "watching", "")})
    (back,) = await store.recovered(5000)
    assert await store.tell(back, "no", replace(stale, id="back1"))
    assert not await store.tell(back, "no", replace(stale, id="back1"))
    document = await database.mailboxes.find_one({"_id": "s1"})
    assert sorted(document["outbox"]) == ["back1", "stale1"]
    assert document["outbox_size"] == 2
