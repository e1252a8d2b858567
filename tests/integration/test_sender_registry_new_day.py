"""A new day brings every sender its limits: told once each, a few at a time, undoing nothing."""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from postfleet import instants
from postfleet.mongo import Mongo
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.domain.announcing import Change, created
from sender_registry.domain.deadlines import DeadlineRules
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.sender import Profile, Sender
from sender_registry.new_day import NewDay
from sender_registry.store import SenderStore
from sender_registry.sweep import Chores, Sweep
from sender_registry.token_keeper import TokenKeeper
from tests.support.mongo import MongoServer
from tests.unit.sender_registry import samples

RULES = LimitRules()
NOW = instants.now()
YOUNG = instants.to_ms(NOW - timedelta(days=13))  # tomorrow it may send more


@pytest.fixture
async def mongo(mongo_server: MongoServer) -> AsyncIterator[Mongo]:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    found = Mongo(mongo_server.url, "sender-registry", prefix)
    yield found
    await found.close()


class Silent:
    def wake(self) -> None:
        """Nobody announces."""


async def stored(mongo: Mongo, address: str, since_ms: int) -> Sender:
    profile = Profile(address, daily_limit=50, established_ms=since_ms)
    sender = samples.sender(
        id=secrets.token_hex(16), profile=profile, secrets_ms=instants.to_ms(NOW)
    )
    change = created(sender, NOW, RULES)
    await SenderStore(mongo.database["senders"]).insert(replace(change, announcements=()), {})
    return change.after


def sweep_of(mongo: Mongo, store: SenderStore, clock: list[Any]) -> Sweep:
    silent: Any = Silent()
    nobody: Any = None  # there is no sender with a token or a certificate here
    changes = Changes(store, silent, RULES, lambda: clock[0])
    applied, tokens = AppliedStore(mongo.database["applied"]), TokenKeeper(changes, nobody, nobody)
    return Sweep(changes, Chores(applied, tokens, (), NewDay(changes, DeadlineRules(), nobody)), 1)


@pytest.mark.seed("S245", "S246")
async def test_a_new_day_tells_only_of_limits_that_changed(mongo: Mongo) -> None:
    grows = await stored(mongo, "young@one.test", YOUNG)
    stays = await stored(mongo, "old@one.test", samples.LONG_AGO_MS)
    store = SenderStore(mongo.database["senders"])
    clock = [NOW]
    sweep = sweep_of(mongo, store, clock)
    await sweep.each_day()
    assert [await store.get(s.id) for s in (grows, stays)] == [grows, stays]
    clock[0] = NOW + timedelta(days=1)
    await sweep.each_day()
    told = await mongo.database["senders"].find_one({"_id": grows.id})
    assert told["told_limit"] == 50
    assert [entry["subject"] for entry in told["outbox"].values()] == ["sender.updated"]
    assert await store.get(stays.id) == stays


async def test_many_senders_are_told_once_each_and_no_edit_of_that_moment_is_undone(
    mongo: Mongo,
) -> None:
    """More than are written at once, and an operator who writes what was read already."""
    fleet = [await stored(mongo, f"m{n}@many.test", YOUNG) for n in range(30)]
    store = EditedBeforeTheBulk(mongo.database["senders"])
    await sweep_of(mongo, store, [NOW + timedelta(days=1)]).each_day()
    assert len(store.edited) == 2
    for sender in fleet:
        told = await mongo.database["senders"].find_one({"_id": sender.id})
        updates = [entry["subject"] for entry in told["outbox"].values()]
        name, writes = ("edited", 2) if sender.id in store.edited else ("", 1)
        assert (told["told_limit"], told["name"], updates) == (
            50,
            name,
            ["sender.updated"] * writes,
        )


class EditedBeforeTheBulk(SenderStore):
    """Somebody else changes the first sender of every bulk between its reading and its writing."""

    def __init__(self, collection: Any) -> None:
        super().__init__(collection)
        self.edited: list[str] = []

    async def save_many(self, changes: Sequence[Change]) -> bool:
        first, silent = changes[0].after.id, Silent()
        relay: Any = silent
        await Changes(self, relay, RULES, lambda: NOW).change(first, partial(renamed, "edited"))
        self.edited.append(first)
        return await super().save_many(changes)


def renamed(name: str, sender: Sender) -> Sender:
    return replace(sender, profile=replace(sender.profile, name=name))
