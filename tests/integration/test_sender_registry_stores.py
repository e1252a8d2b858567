"""What the stores promise, on the embedded server (or MONGODB_URL) and on an independent double."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from postfleet import instants
from postfleet.api_keys import Scope, hash_key
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.mongo import Database, Mongo
from sender_registry.applied_store import AppliedStore, event_mark, penalty_mark
from sender_registry.domain.announcing import Change, created, settle
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.presets import InboxType
from sender_registry.domain.sender import Counts, Profile, Sender, Suspension
from sender_registry.identity import new_id
from sender_registry.key_store import KeyStore, StoredKey
from sender_registry.store import AddressTaken, Counted, SenderStore
from tests.support.mockmongo import mock_database
from tests.support.mongo import MongoServer
from tests.unit.sender_registry import samples

RULES = LimitRules()
FULL = Profile(
    email_address="Ann@One.test",
    display_name="Ann",
    name="a",
    description="b",
    tags=("x", "y"),
    kind="internal",
    inbox_type=InboxType.OUTLOOK_365,
    daily_limit=7,
    monthly_limit=70,
    warmup_mode=True,
    access_methods=("campaign", "smtp"),
    smtp_authentication="ip",
    allowed_ips=("10.0.0.0/8",),
    bcc="b@one.test",
    archive="c@one.test",
    established_ms=5,
)
IMAP = MailServer(host="i", port=993, security=SmtpSecurity.IMPLICIT, username="u")


@pytest.fixture(params=["server", "double"])
async def database(
    request: pytest.FixtureRequest, mongo_server: MongoServer
) -> AsyncIterator[Database]:
    if request.param == "double":
        yield mock_database("sender_registry")
        return
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    mongo = Mongo(mongo_server.url, "sender-registry", prefix)
    yield mongo.database
    await mongo.close()


@pytest.fixture
async def store(database: Database) -> SenderStore:
    found = SenderStore(database["senders"])
    await found.ensure_indexes()
    return found


async def added(store: SenderStore, **changes: Any) -> Sender:
    id_ = new_id()
    profile = changes.pop("profile", None) or Profile(f"{id_}@one.test")
    sender = samples.sender(**{"id": id_, "revision": 0, "profile": profile, **changes})
    change = created(sender, instants.now(), RULES)
    await store.insert(change, {"smtp": "sealed"})
    return change.after


def changed(before: Sender, **changes: Any) -> Change:
    change = settle(before, replace(before, **changes), instants.now(), RULES)
    assert change is not None
    return change


@pytest.mark.parametrize("profile", [FULL, Profile("ann@one.test")], ids=["full", "least"])
async def test_a_sender_comes_back_as_it_was_stored(store: SenderStore, profile: Profile) -> None:
    sender = await added(store, profile=profile, imap=IMAP, imap_code="TIMEOUT")
    assert await store.get(sender.id) == sender


async def test_every_change_comes_back_as_it_was_saved(store: SenderStore) -> None:
    before = await added(store)
    profile = replace(FULL, email_address=before.profile.email_address)
    change = changed(
        before,
        profile=profile,
        imap=IMAP,
        smtp_code="TIMEOUT",
        health=3,
        streak=Streak(2, 99),
        suspension=Suspension("ann", "why"),
        counts=Counts("2026-11-21", 1, "2026-11", 2),
        secrets_ms=4,
    )
    assert await store.save(change)
    assert await store.get(before.id) == change.after
    back = changed(change.after, profile=before.profile, imap=None, suspension=Suspension())
    assert await store.save(back)
    assert await store.get(before.id) == back.after


async def test_a_write_on_an_old_revision_changes_nothing(store: SenderStore) -> None:
    before = await added(store)
    first, second = changed(before, health=50), changed(before, health=60)
    assert await store.save(first)
    assert not await store.save(second, secrets={"smtp": "other"})
    assert not await store.save_counted([Counted(second, ("x",))])
    assert await store.get(before.id) == first.after
    assert await store.secrets(before.id) == {"smtp": "sealed"}
    assert await store.with_unsettled([before.id]) == {before.id: (first.after, [])}


async def test_of_what_is_counted_together_only_the_outdated_is_left(store: SenderStore) -> None:
    """The counts and the proof of having counted are one write for each sender."""
    fresh, outdated = await added(store), await added(store, profile=Profile("bob@one.test"))
    assert await store.save(changed(outdated, health=50))
    both = [
        Counted(changed(fresh, health=99), ("a", "b")),
        Counted(changed(outdated, health=60), ("c",)),
    ]
    assert not await store.save_counted(both)
    found = await store.with_unsettled([fresh.id, outdated.id, "nobody"])
    assert {id_: (sender.health, marks) for id_, (sender, marks) in found.items()} == {
        fresh.id: (99, ["a", "b"]),
        outdated.id: (50, []),
    }
    assert await store.save(changed(found[fresh.id][0], deleted_ms=9), secrets={})
    assert set(await store.with_unsettled([fresh.id, outdated.id])) == {outdated.id}
    assert await store.save_counted([])


async def test_an_address_is_taken_until_its_sender_is_deleted(store: SenderStore) -> None:
    first = await added(store, profile=Profile("Ann@one.test"))
    with pytest.raises(AddressTaken):
        await added(store, profile=Profile("ann@ONE.test"))
    assert await store.by_address("ANN@one.test") == first
    assert await store.save(changed(first, deleted_ms=9), secrets={})
    assert await store.get(first.id) is None
    assert await store.by_address("ann@one.test") is None
    assert await store.secrets(first.id) == {}
    second = await added(store, profile=Profile("ann@one.test"))
    assert await store.by_address("ann@one.test") == second


async def test_events_are_written_with_the_change(store: SenderStore, database: Database) -> None:
    sender = await added(store)
    change = changed(sender, health=50)
    await store.save(change)
    document = await database["senders"].find_one({"_id": sender.id})
    said = {entry["subject"] for entry in document["outbox"].values()}
    assert said == {"sender.created", "sender.health_changed"}
    assert document["outbox_size"] == 2


async def test_pages_hold_living_senders_in_order(store: SenderStore) -> None:
    made = sorted([await added(store) for _ in range(4)], key=lambda sender: sender.id)
    await store.save(changed(made[1], deleted_ms=9))
    assert await store.after("", 2) == [made[0], made[2]]
    assert await store.after(made[2].id, 2) == [made[3]]


async def test_only_pauses_that_are_over_are_found(store: SenderStore) -> None:
    now_ms = instants.now_ms()
    over, *_ = [
        await added(store, streak=Streak(0, until)) for until in (now_ms - 1, now_ms + 60_000, 0)
    ]
    assert [sender.id for sender in await store.cooled_down(10)] == [over.id]


async def test_marks_are_known_once_settled(database: Database) -> None:
    applied = AppliedStore(database["applied"])
    await applied.ensure_indexes()
    day = 86_400_000
    marks = [event_mark(n * 7 * day + n, f"e:{n}.x") for n in range(5)]
    marks += [event_mark(n * 100, f"f{n}") for n in range(50)]
    for _ in range(2):
        await applied.settle(marks)
    others = [event_mark(0, "e:1.x"), event_mark(10**12, "new")]
    assert await applied.known(marks + others) == set(marks)
    assert await applied.known([]) == set()


async def test_the_worst_punishment_of_a_delivery_is_known(database: Database) -> None:
    applied = AppliedStore(database["applied"])
    marks = [penalty_mark("d:1", -5), penalty_mark("d:1", -15), penalty_mark("d2", -10)]
    await applied.settle(marks)
    await applied.settle(marks)
    assert await applied.penalties(["d:1", "d2", "d3"]) == {"d:1": -15, "d2": -10}
    assert await applied.penalties([]) == {}


async def test_marks_are_forgotten_after_the_stream_has_forgotten_the_events(
    database: Database,
) -> None:
    applied = AppliedStore(database["applied"])
    mark = event_mark(1, "e")
    await applied.settle([mark])
    await database["applied"].insert_one({"_id": "old", "at": instants.now_ms() - 36 * 86_400_000})
    assert await applied.forget_old() == 1
    assert await applied.known([mark]) == {mark}


async def test_api_keys_are_found_by_their_hash(database: Database) -> None:
    keys = KeyStore(database["api_keys"])
    await keys.ensure_indexes()
    key = StoredKey(new_id(), "ci", (Scope.READ, Scope.SEND), "abcd", 5)
    await keys.insert(key, hash_key("secret"))
    assert await keys.by_hash(hash_key("secret")) == key.api_key
    assert await keys.by_hash(hash_key("other")) is None
    assert await keys.after("", 10) == [key]
    assert await keys.delete(key.id)
    assert not await keys.delete(key.id)
    assert await keys.by_hash(hash_key("secret")) is None


@pytest.mark.parametrize(
    ("offset_ms", "known"), [(-1, False), (60_000, True)], ids=["past", "to come"]
)
async def test_a_key_ends_at_its_time(database: Database, offset_ms: int, known: bool) -> None:
    keys = KeyStore(database["api_keys"])
    ends = instants.now_ms() + offset_ms
    key = StoredKey(new_id(), "ci", (Scope.READ,), "abcd", 5, ends)
    await keys.insert(key, hash_key("secret"))
    assert (await keys.by_hash(hash_key("secret")) is not None) is known
    assert await keys.after("", 10) == [key]
