"""Every fact counts exactly once: redelivered, in any order, by several processes, over crashes."""

import asyncio
import random
from collections import Counter as Tally
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postfleet.cloudevents import Received
from postfleet.events.campaigns import (
    CampaignCreated,
    CampaignDeleted,
    CampaignPaused,
    CampaignStarted,
)
from postfleet.events.deliveries import BounceHard, BounceSoft, EmailFailed, EmailSent, EmailSkipped
from postfleet.events.event import Event
from postfleet.events.inbox import ComplaintReceived, ReplyAutomatic, ReplyDetected
from postfleet.events.tracking import (
    EmailClicked,
    EmailOpened,
    HitEvent,
    RecipientUnsubscribed,
    Verdict,
)
from postfleet.mongo import Mongo
from tests.support.mongo import MongoServer
from tests.support.tracker import new_id, sent
from tracker.destinations import Destinations
from tracker.domain.facts import METRICS, OVERALL
from tracker.handlers.events import EventHandler
from tracker.store.campaigns import CampaignStore
from tracker.store.links import LinkStore
from tracker.store.statistics import StatisticsStore

START = datetime(2026, 11, 20, 22, tzinfo=UTC)
WRITES = ("insert_one", "insert_many", "bulk_write", "update_one", "update_many", "delete_many")


class Crash(Exception):
    """The process ends here."""


class Fuse:
    """Ends the process at the nth write: before it, or after it and before its answer."""

    def __init__(self, writes: int | None, *, after: bool = False) -> None:
        self.left, self.after, self.written = writes, after, 0

    async def write(self, operation: Any, *args: Any, **options: Any) -> Any:
        self.written += 1
        blown = self.left is not None and self.written >= self.left
        if blown and not self.after:
            raise Crash
        answer = await operation(*args, **options)
        if blown:
            raise Crash
        return answer


class FusedCollection:
    def __init__(self, collection: Any, fuse: Fuse) -> None:
        self._collection, self._fuse = collection, fuse

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._collection, name)
        if name not in WRITES:
            return operation
        return lambda *args, **options: self._fuse.write(operation, *args, **options)


class FusedDatabase:
    def __init__(self, database: Any, fuse: Fuse) -> None:
        self._database, self._fuse = database, fuse

    def __getattr__(self, name: str) -> Any:
        return FusedCollection(self._database[name], self._fuse)


@pytest.fixture
async def database(mongo_server: MongoServer) -> Any:
    mongo = Mongo(mongo_server.url, "tracker", f"{mongo_server.prefix}{new_id()[:6]}_")
    await StatisticsStore(mongo.database).ensure_indexes()
    yield mongo.database
    await mongo.close()


def _handler(database: Any, fold_at: int = 25) -> EventHandler:
    """Folds and packs far more often than the service does."""
    links, figures = LinkStore(database), StatisticsStore(database, fold_at, pack_at=1)
    return EventHandler(Destinations(links.get), links, CampaignStore(database), figures)


def _history(choose: random.Random, mails: int) -> list[Received[Event]]:
    """What may happen to some mails: nothing twice, but the same recipients several times."""
    told: list[Event] = []
    for number in range(mails):
        mail = sent(
            f"{choose.getrandbits(128):032x}",
            campaign_id=choose.choice([None, "spring", "autumn"]),
            step=choose.choice([1, 2]),
            variant=choose.choice([None, "a", "b"]),
            sender_id=choose.choice(["one", "two"]),
            recipient=f"lead{choose.randrange(max(2, mails // 2))}@example.org",
            occurred_at=START + timedelta(minutes=number),
        )
        told.append(mail)
        told.extend(_afterwards(choose, mail))
    return [Received(event, f"{i:032x}") for i, event in enumerate(told)]


def _afterwards(choose: random.Random, mail: EmailSent) -> Iterator[Event]:
    facts = mail.model_dump(include=set(RecipientUnsubscribed.model_fields))
    human, bot = Verdict.HUMAN, Verdict.BOT
    possible: list[Event] = [
        EmailOpened(**facts, verdict=human, first=True),
        EmailOpened(**facts, verdict=human),
        EmailOpened(**facts, verdict=bot),
        EmailClicked(**facts, verdict=human, first=True, url="https://example.com"),
        ReplyDetected(**facts),
        ReplyAutomatic(**facts),
        BounceHard(**facts, observed="dsn"),
        BounceHard(**facts, observed="smtp"),
        BounceSoft(**facts, observed="dsn"),
        ComplaintReceived(**facts),
        RecipientUnsubscribed(**facts),
        EmailFailed(**facts),
        EmailSkipped(**facts, reason="replied"),
    ]
    yield from (event for event in possible if choose.random() < 0.4)


def _recount(history: list[Received[Event]]) -> dict[str, Tally[str]]:
    """The figures by another road: sets of what was said, per scope."""
    said: dict[tuple[str, str], set[str]] = {}
    names = {
        EmailSent: "sent", ReplyDetected: "replied",
        ReplyAutomatic: "auto_replied", BounceHard: "bounced_hard",
        BounceSoft: "bounced_soft", ComplaintReceived: "complained",
        EmailFailed: "failed", EmailSkipped: "skipped",
        RecipientUnsubscribed: "unsubscribed",
    }  # fmt: skip
    for received in history:
        event: Any = received.event
        metric = names.get(type(event))
        if isinstance(event, HitEvent) and event.first:
            metric = "opened" if isinstance(event, EmailOpened) else "clicked"
        if metric is None:
            continue
        what = event.recipient if metric == "unsubscribed" else event.delivery_id
        domain = event.message_id.strip("<>").partition("@")[2]
        scopes = ["overall", f"sender:{event.sender_id}", f"domain:{domain}"]
        if event.campaign_id:
            scopes.append(f"campaign:{event.campaign_id}")
        for scope in scopes:
            said.setdefault((scope, metric), set()).add(what)
    figures: dict[str, Tally[str]] = {}
    for (scope, metric), members in said.items():
        figures.setdefault(scope, Tally())[metric] = len(members)
    return figures


async def _figures(database: Any) -> dict[str, Tally[str]]:
    """As they are shown: what is folded already and what is not."""
    store = StatisticsStore(database)
    found = [
        d for s in ("overall", "sender", "domain", "campaign") for d in await store.of_scope(s)
    ]
    return {d["_id"]: Tally({m: d[m] for m in METRICS if m in d}) for d in found}


def _batches(
    choose: random.Random, history: list[Received[Event]]
) -> Iterator[list[Received[Event]]]:
    """Everything at least once, a third of it again, in random order and batches of any size."""
    again = [received for received in history if choose.random() < 0.3]
    deliveries = [*history, *again]
    choose.shuffle(deliveries)
    while deliveries:
        size = choose.randint(1, 40)
        yield deliveries[:size]
        deliveries = deliveries[size:]


@pytest.mark.parametrize("seed", range(6))
async def test_random_redelivery_and_crashes_count_everything_once(
    database: Any, seed: int
) -> None:
    choose = random.Random(seed)
    history = _history(choose, 60)
    for batch in _batches(choose, history):
        while choose.random() < 0.5:
            fuse = Fuse(choose.randint(1, 12), after=choose.random() < 0.5)
            try:
                await _handler(FusedDatabase(database, fuse))(batch)
            except Crash:
                continue
        await _handler(database)(batch)
    assert await _figures(database) == _recount(history)


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
async def test_a_crash_at_each_single_write_counts_everything_once(
    mongo_server: MongoServer, after: bool
) -> None:
    choose = random.Random(7)
    history = _history(choose, 8)
    at = 0
    while True:
        at += 1
        mongo = Mongo(mongo_server.url, "tracker", f"{mongo_server.prefix}{new_id()[:6]}_")
        fuse = Fuse(at, after=after)
        with_crash = _handler(FusedDatabase(mongo.database, fuse), fold_at=1)
        crashed = False
        try:
            await with_crash(history[:10])
        except Crash:
            crashed = True
        await _handler(mongo.database)(history[5:])  # another batch comes first
        await _handler(mongo.database)(history[:10])
        assert await _figures(mongo.database) == _recount(history), f"crash at write {at}"
        await mongo.close()
        if not crashed:
            break
    assert at > 7  # so many writes make the segments, fold and pack them


async def test_100_000_events_redelivered_in_random_order_count_to_the_unit(database: Any) -> None:
    choose = random.Random(5)
    history = _history(choose, 16_500)
    assert len(history) > 99_000
    again = [received for received in history if choose.random() < 0.3]
    deliveries = [*history, *again]
    choose.shuffle(deliveries)
    links = LinkStore(database)
    handler = EventHandler(
        Destinations(links.get), links, CampaignStore(database), StatisticsStore(database)
    )
    for start in range(0, len(deliveries), 2000):
        await handler(deliveries[start : start + 2000])
    assert await _figures(database) == _recount(history)


@pytest.mark.seed("S184")
async def test_several_processes_at_once_count_everything_once(database: Any) -> None:
    choose = random.Random(11)
    history = _history(choose, 60)
    shares = [list(_batches(choose, history)) for _ in range(3)]

    async def process(batches: list[list[Received[Event]]]) -> None:
        handler = _handler(database)
        for batch in batches:
            await handler(batch)

    await asyncio.gather(*(process(batches) for batches in shares))
    assert await _figures(database) == _recount(history)


@pytest.mark.seed("S204")
async def test_steps_variants_days_and_senders_add_up(database: Any) -> None:
    history = _history(random.Random(3), 80)
    await _handler(database)(history)
    store = StatisticsStore(database)
    overall = await store.counter(OVERALL)
    assert overall is not None
    assert overall["sent"] == 80
    for scope in ("day", "hour", "sender"):
        found = await store.of_scope(scope)
        assert sum(d.get("sent", 0) for d in found) == 80
        assert sum(d.get("replied", 0) for d in found) == overall["replied"]
    for campaign in ("spring", "autumn"):
        whole = (await _figures(database))[f"campaign:{campaign}"]
        for scope in ("step", "variant", "campaign-sender"):
            parts = await store.of_campaign(scope, campaign)
            assert sum(d.get("opened", 0) for d in parts) == whole["opened"]


async def test_a_name_told_late_does_not_replace_a_newer_state(database: Any) -> None:
    told = [
        CampaignStarted(occurred_at=START, campaign_id="c", name="Old"),
        CampaignPaused(
            occurred_at=START + timedelta(minutes=1), campaign_id="c", name="New", by="operator"
        ),
    ]
    for event in reversed(told):
        await _handler(database)([Received(event, event.subject)])
    found = await CampaignStore(database).get("c")
    assert found is not None
    assert (found["name"], found["status"]) == ("New", "paused")


async def test_a_deleted_draft_is_shown_to_nobody(database: Any) -> None:
    for name in ("kept", "gone"):
        created = CampaignCreated(occurred_at=START, campaign_id=name, name=name)
        await _handler(database)([Received(created, name)])
    later = START + timedelta(minutes=1)
    deleted = CampaignDeleted(occurred_at=later, campaign_id="gone", name="gone")
    await _handler(database)([Received(deleted, "deleted")])
    store = CampaignStore(database)
    assert [found["_id"] for found in await store.page("", 10)] == ["kept"]
    assert [found["_id"] for found in await store.latest(10)] == ["kept"]
