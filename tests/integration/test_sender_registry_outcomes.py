"""What became of mails reaches the counters once, whatever is delivered twice or restarted."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from postfleet import instants
from postfleet.cloudevents import Announcement, Received
from postfleet.events.domains import MailboxDeleted
from postfleet.events.event import Event
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.domain.announcing import created
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.sender import Profile, Sender
from sender_registry.handlers import OutcomeHandler
from sender_registry.identity import new_id
from sender_registry.settings import Settings
from sender_registry.store import Counted, SenderStore
from tests.support import redelivery
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry import samples
from tests.unit.sender_registry.world import ACCOUNTS, Registry, registry, settings, until

RULES = LimitRules()


@pytest.fixture
def configuration(own_nats: NatsServer, mongo_server: MongoServer) -> Settings:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    return settings(own_nats.url, mongo_server.url, prefix)


@pytest.fixture
async def mongo(configuration: Settings) -> AsyncIterator[Mongo]:
    found = Mongo(configuration.mongodb_url, "sender-registry", configuration.database_prefix)
    yield found
    await found.close()


@pytest.fixture
async def running(configuration: Settings) -> AsyncIterator[Registry]:
    async with registry(configuration) as found:
        yield found


async def stored(mongo: Mongo, **changes: Any) -> Sender:
    """A sender in the database, as `POST /sender-accounts` leaves it."""
    id_ = new_id()
    profile = Profile(f"{id_}@one.test", daily_limit=50, established_ms=samples.LONG_AGO_MS)
    today = {"secrets_ms": instants.now_ms()}
    sender = samples.sender(**{"id": id_, "profile": profile, **today, **changes})
    change = created(sender, instants.now(), RULES)
    await SenderStore(mongo.database["senders"]).insert(replace(change, announcements=()), {})
    return change.after


async def shows(running: Registry, sender_id: str, **expected: Any) -> dict[str, Any]:
    """Wait until the sender is shown like that."""
    shown: dict[str, Any] = {}

    async def reached() -> bool:
        shown.update(await running.show(sender_id))
        return all(shown[name] == value for name, value in expected.items())

    try:
        await until(reached, f"{expected}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is { ({n: shown[n] for n in expected}) }") from error
    return shown


async def settled(running: Registry) -> None:
    """Wait until every event so far was consumed."""

    async def idle() -> bool:
        info = await running.nats.jetstream().consumer_info("EVENTS", "sender-registry-outcomes")
        return not info.num_pending and not info.num_ack_pending

    await until(idle, "all consumed")


@pytest.mark.seed("S26", "S30", "S36", "S190", "S194")
async def test_outcomes_move_counters_and_health(running: Registry, mongo: Mongo) -> None:
    sender = await stored(mongo, health=50)
    now = instants.now()
    await running.tell(
        samples.sent("a", sender.id, now),
        samples.sent("b", sender.id, now),
        samples.hard("c", sender.id, now, enhanced_status="5.1.1"),
        samples.soft("d", sender.id, now),
    )
    shown = await shows(running, sender.id, sent_today=2, sent_this_month=2, health=32)
    assert shown["health_cause"] == "receiver"
    event = await running.event("sender.health_changed", sender.id)
    assert event["previous"] // 10 != event["health"] // 10
    assert event["sender"]["health"] == event["health"]


async def test_an_event_that_is_stored_again_changes_nothing(
    running: Registry, mongo: Mongo
) -> None:
    sender = await stored(mongo, health=50)
    now = instants.now()
    events = [samples.sent("a", sender.id, now), samples.soft("b", sender.id, now)]
    ids = [f"{sender.id}-{n}" for n in range(2)]
    await running.tell(*events, ids=ids)
    first = await shows(running, sender.id, sent_today=1, health=46)
    for _ in range(2):
        await running.tell(*events, ids=ids)
        await settled(running)
    assert await running.show(sender.id) == first


@pytest.mark.seed("S38", "S190")
async def test_a_refusal_and_its_dsn_are_one_bounce_across_batches(
    running: Registry, mongo: Mongo
) -> None:
    sender = await stored(mongo)
    now = instants.now()
    await running.tell(samples.sent("a", sender.id, now))
    await shows(running, sender.id, sent_today=1)
    await running.tell(samples.soft("a", sender.id, now))
    await shows(running, sender.id, health=95)
    await running.tell(samples.hard("a", sender.id, now, observed="dsn", enhanced_status="5.1.1"))
    await shows(running, sender.id, health=85)
    await running.tell(
        samples.hard("a", sender.id, now, enhanced_status="5.1.1"),
        samples.sent("b", sender.id, now),
    )
    await shows(running, sender.id, health=86, sent_today=2)


async def test_a_restart_keeps_the_counters_and_announces_nothing(
    configuration: Settings, mongo: Mongo
) -> None:
    async with registry(configuration) as first:
        sender = await stored(mongo, health=50)
        events = [samples.sent(f"d{n}", sender.id, instants.now()) for n in range(7)]
        ids = [f"{sender.id}-{n}" for n in range(7)]
        await first.tell(*events, ids=ids)
        before = await shows(first, sender.id, sent_today=7, health=57)
    async with registry(configuration) as second:
        await second.tell(*events, ids=ids)
        await settled(second)
        await asyncio.sleep(0.3)  # a few sweeps
        assert await second.show(sender.id) == before
        assert second.events("sender.updated", sender.id) == []
        assert second.said == []


@pytest.mark.seed("S34", "S35", "S41")
async def test_a_cooldown_starts_after_three_errors_and_ends_by_itself(
    running: Registry, mongo: Mongo
) -> None:
    sender = await stored(mongo)
    started_at = instants.now() - timedelta(minutes=30) + timedelta(seconds=1.5)
    await running.tell(
        *[samples.deferred(f"d{n}", sender.id, started_at, fault="connection") for n in range(3)]
    )
    event = await running.event("sender.cooldown_started", sender.id)
    assert event["sender"]["cooldown_until"] == event["until"]
    assert (await running.show(sender.id))["cooldown_until"] is not None
    ended = await running.event("sender.cooldown_ended", sender.id)
    assert "cooldown_until" not in ended["sender"]
    assert ended["occurred_at"] >= event["until"]
    assert (await running.show(sender.id))["cooldown_until"] is None


@pytest.mark.seed("S40")
async def test_health_below_twenty_restricts(running: Registry, mongo: Mongo) -> None:
    sender = await stored(mongo, health=24)
    await running.tell(samples.soft("a", sender.id, instants.now()))
    event = await running.event("sender.restricted", sender.id)
    assert (event["code"], event["sender"]["health"]) == ("LOW_HEALTH", 19)


async def test_the_last_mail_of_the_day_is_told(running: Registry, mongo: Mongo) -> None:
    profile = Profile("few@one.test", daily_limit=2, established_ms=samples.LONG_AGO_MS)
    sender = await stored(mongo, profile=profile)
    await running.tell(*[samples.sent(f"d{n}", sender.id, instants.now()) for n in range(3)])
    await shows(running, sender.id, sent_today=3)
    event = await running.event("sender.limit_reached", sender.id)
    assert event["limit"] == "configured"
    assert event["until"].endswith("T00:00:00Z")
    assert len(running.events("sender.limit_reached", sender.id)) == 1


async def test_outcomes_of_unknown_senders_are_passed_over(running: Registry, mongo: Mongo) -> None:
    sender = await stored(mongo)
    now = instants.now()
    await running.tell(samples.sent("a", "nobody", now), samples.sent("b", sender.id, now))
    await shows(running, sender.id, sent_today=1)
    await settled(running)


async def test_changes_at_the_same_time_are_all_kept(running: Registry, mongo: Mongo) -> None:
    sender = await stored(mongo, health=10)

    async def rename(number: int) -> int:
        patch = {"name": f"name {number}"}
        return (await running.http.patch(f"{ACCOUNTS}/{sender.id}", json=patch)).status_code

    events = [samples.sent(f"d{n}", sender.id, instants.now()) for n in range(60)]
    answers, *_ = await asyncio.gather(
        asyncio.gather(*(rename(n) for n in range(10))),
        *(running.tell(event) for event in events),
    )
    assert answers == [200] * 10
    await shows(running, sender.id, sent_today=60, health=70)


async def test_only_an_internal_sender_is_restricted_when_its_mailbox_is_deleted(
    running: Registry, mongo: Mongo
) -> None:
    def profile(name: str, kind: Any) -> Profile:
        return Profile(f"{name}@one.test", kind=kind, established_ms=samples.LONG_AGO_MS)

    internal = await stored(mongo, profile=profile("in", "internal"))
    external = await stored(mongo, profile=profile("out", "external"))
    for sender in (external, internal):
        address = sender.profile.email_address
        await running.tell(
            MailboxDeleted(occurred_at=instants.now(), address=address, domain="one.test")
        )
    event = await running.event("sender.restricted", internal.id)
    assert event["code"] == "MAILBOX_DELETED"
    assert (await running.show(external.id))["status"] == "ready"


# -- without a bus: what a crash between two writes leaves ---------------------------------------


class Crash(Exception):
    pass


class Silent:
    """A relay that only wakes: nothing here is about announcing."""

    def wake(self) -> None:
        pass


def _relay() -> OutboxRelay:
    silent: Any = Silent()
    relay: OutboxRelay = silent
    return relay


def handler(mongo: Mongo, store: SenderStore | None = None) -> OutcomeHandler:
    store = store or SenderStore(mongo.database["senders"])
    changes = Changes(store, _relay(), RULES, instants.now)
    return OutcomeHandler(changes, AppliedStore(mongo.database["applied"]))


def batch(*events: Event, prefix: str) -> list[Received[Event]]:
    return [Received(event, f"{prefix}{number}") for number, event in enumerate(events)]


async def test_batches_that_come_back_out_of_order_count_once(mongo: Mongo) -> None:
    sender = await stored(mongo, health=50)
    now = instants.now()
    store = SenderStore(mongo.database["senders"])
    first = batch(*[samples.sent(f"a{n}", sender.id, now) for n in range(5)], prefix="a")
    second = batch(*[samples.sent(f"b{n}", sender.id, now) for n in range(5)], prefix="b")
    for come in (second, first, second, first[:2], [*second, *first]):
        await handler(mongo).handle(come)
    after = await store.get(sender.id)
    assert after is not None
    assert (after.counts.today, after.health) == (10, 60)


@pytest.mark.parametrize("seed", range(3))
async def test_all_outcomes_three_times_in_random_order_count_as_once_in_order(
    mongo: Mongo, seed: int
) -> None:
    once, often = [await stored(mongo, health=50) for _ in range(2)]

    def told(sender: Sender) -> list[Announcement]:
        now, id_ = instants.now(), sender.id
        events: list[Event] = [
            *(samples.sent(f"{id_}{n}", id_, now) for n in range(8)),
            *(samples.soft(f"{id_}s{n}", id_, now) for n in range(2)),
            samples.hard(f"{id_}h", id_, now, enhanced_status="5.1.1"),
            samples.complaint(f"{id_}c", id_, now),
        ]
        return [Announcement(event, f"{id_}-{n}") for n, event in enumerate(events)]

    await handler(mongo).handle([Received(a.event, a.id) for a in told(once)])
    await redelivery.hand_over(handler(mongo).handle, told(often), seed)
    store = SenderStore(mongo.database["senders"])
    first, second = [await store.get(sender.id) for sender in (once, often)]
    assert first is not None
    assert second is not None
    assert first.counts.today == 8
    assert (second.counts, second.health) == (first.counts, first.health)


async def test_a_crash_after_the_write_counts_once(mongo: Mongo) -> None:
    """The marks of a batch are in the sender's document until the next batch settles them."""

    class Dies(SenderStore):
        async def save_counted(self, counted: Sequence[Counted]) -> bool:
            await super().save_counted(counted)
            raise Crash

    sender = await stored(mongo, health=50)
    events = batch(samples.soft("a", sender.id, instants.now()), prefix="x")
    with pytest.raises(Crash):
        await handler(mongo, Dies(mongo.database["senders"])).handle(events)
    await handler(mongo).handle(events)
    later = batch(samples.hard("a", sender.id, instants.now(), enhanced_status="5.1.1"), prefix="y")
    await handler(mongo).handle(later)
    after = await SenderStore(mongo.database["senders"]).get(sender.id)
    assert after is not None
    assert (after.health, after.revision) == (35, 3)


async def test_two_replicas_with_the_same_events_count_once(mongo: Mongo) -> None:
    sender = await stored(mongo, health=10)
    events = batch(
        *[samples.sent(f"d{n}", sender.id, instants.now()) for n in range(20)], prefix="e"
    )
    parts = [events[start : start + 5] for start in range(0, 20, 5)]
    await asyncio.gather(*(handler(mongo).handle(part) for part in parts + parts[::-1]))
    after = await SenderStore(mongo.database["senders"]).get(sender.id)
    assert after is not None
    assert (after.counts.today, after.health) == (20, 30)


async def test_many_senders_in_one_batch_count_exactly_while_others_write_them(
    mongo: Mongo,
) -> None:
    """Replicas with overlapping batches, each come again, and an operator who edits meanwhile."""
    senders = [await stored(mongo, health=50) for _ in range(6)]
    now = instants.now()
    told = batch(*[samples.sent(f"d{n}", senders[n % 6].id, now) for n in range(60)], prefix="many")
    parts = [told[start : start + 20] for start in range(0, 60, 10)]
    store = SenderStore(mongo.database["senders"])
    changes = Changes(store, _relay(), RULES, instants.now)

    async def edit(sender: Sender) -> None:
        for number in range(4):
            await changes.change(sender.id, partial(_renamed, f"edit {number}"))

    comings = [handler(mongo).handle(part) for part in parts + parts[::-1]]
    await asyncio.gather(*comings, *(edit(sender) for sender in senders))
    for sender in senders:
        after = await store.get(sender.id)
        assert after is not None
        counted = (after.counts.today, after.health, after.profile.name)
        assert counted == (10, 60, "edit 3")


def _renamed(name: str, sender: Sender) -> Sender:
    return replace(sender, profile=replace(sender.profile, name=name))


@pytest.mark.seed("C7")
async def test_resuming_is_the_way_back_from_a_health_below_twenty(
    running: Registry, mongo: Mongo
) -> None:
    sender = await stored(mongo, health=3)
    assert (await running.show(sender.id))["status_code"] == "LOW_HEALTH"
    resumed = (await running.http.post(f"{ACCOUNTS}/{sender.id}/resume")).json()
    assert (resumed["status"], resumed["health"]) == ("ready", 20)
    event = await running.event("sender.health_changed", sender.id)
    assert (event["previous"], event["health"]) == (3, 20)
    await running.event("sender.ready", sender.id)


@pytest.mark.seed("C9")
async def test_the_first_error_after_a_cooldown_starts_the_next(
    running: Registry, mongo: Mongo
) -> None:
    now = instants.now()
    sender = await stored(mongo, streak=Streak(0, instants.to_ms(now) - 1))
    await running.event("sender.cooldown_ended", sender.id)
    await running.tell(samples.deferred("p", sender.id, now, fault="connection"))
    event = await running.event("sender.cooldown_started", sender.id)
    assert event["until"] > now.isoformat()
