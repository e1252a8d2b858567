"""Paces and breakers as they are kept: on both implementations, with replicas that race."""

import asyncio
from typing import Any

import pytest

from dispatcher.brakes import Brakes
from dispatcher.domain.breaker import BreakerRules
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.pacing import PaceRules
from dispatcher.store.breakers import Breakers
from dispatcher.store.paces import Paces
from dispatcher.store.pauses import Pauses
from dispatcher.store.senders import Senders
from postfleet.instants import now_ms

NOW = now_ms()
MINUTE = 60_000
PACES = PaceRules(floor_per_hour=600, step_per_hour=1)
BREAKERS = BreakerRules(failures=3)


ORIGIN = Origin("spring", 0, "A", "s1", "campaign")
OTHER = Origin("spring", 0, "A", "s2", "campaign")


def brakes(database: Any, *, breakers: Breakers | None = None) -> Brakes:
    return Brakes(
        paces=Paces(database.paces, PACES),
        breakers=breakers or Breakers(database.breakers, BREAKERS),
        pauses=Pauses(database.pauses),
        senders=Senders(database.senders),
        destination_of=lambda address: address.rpartition("@")[2],
        saw=lambda origin, settled: None,
    )


def items(count: int, domain: str = "slow.test") -> list[Item]:
    return [Item(f"{domain}{n}", f"l{n}", f"{n}@{domain}") for n in range(count)]


def refused(item: Item, *, at: int = NOW, **more: Any) -> Settled:
    return Settled(item, Outcome.DEFERRED, at, **more)


THROTTLED: dict[str, Any] = {"meaning": "rate_limited", "phase": "rcpt", "reply_code": 450}
LOST: dict[str, Any] = {"meaning": "connection", "phase": "connect", "reason": "Connection refused"}


async def test_replicas_that_race_for_room_get_no_more_than_there_is(database: Any) -> None:
    stores = [Paces(database.paces, PACES) for _ in range(4)]
    await stores[0].throttle("slow.test", 0, NOW - MINUTE)
    granted = await asyncio.gather(*(store.take("slow.test", 5, NOW) for store in stores))
    assert sum(n for n, _ in granted) == 10  # a minute at 600 an hour
    assert await stores[0].take("free.test", 5, NOW) == (5, None)


async def test_a_pace_outlives_its_process_and_ends_at_the_ceiling(database: Any) -> None:
    one = brakes(database)
    await one.seen(ORIGIN, refused(items(1)[0], at=now_ms(), **THROTTLED))
    later = brakes(database)
    assert await later.rooms(["slow.test", "free.test"]) == {}
    await later.refresh()
    assert await later.rooms(["slow.test", "free.test"]) in [{"slow.test": n} for n in range(10)]
    await database.paces.update_one({"_id": "slow.test"}, {"$set": {"per_hour": 10_000_000}})
    await later.refresh()
    assert await database.paces.find_one({"_id": "slow.test"}) is None


async def test_who_waits_for_a_destination_is_told_its_pace_and_a_time_each(database: Any) -> None:
    one = brakes(database)
    at = now_ms()
    await one.throttled("jo@slow.test", at)
    held = await one.hold(ORIGIN, [*items(3), *items(2, "free.test")], at)
    assert [item.recipient for item in held.allowed] == ["0@free.test", "1@free.test"]
    assert [settled.outcome for settled in held.waiting] == [Outcome.POSTPONED] * 3
    assert "waits: destination slow.test paced to 600/hour until 20" in held.waiting[0].reason
    times = [settled.retry_at or 0 for settled in held.waiting]
    assert [round((time - at) / 1000) for time in times] == [6, 12, 18]


@pytest.mark.parametrize(
    ("fields", "paced"),
    [
        pytest.param(THROTTLED, True, id="the words"),
        pytest.param({"meaning": "connection", "phase": "rcpt", "reply_code": 421}, True, id="421"),
        pytest.param({"meaning": "rate_limited", "phase": "mail"}, False, id="the sender's rate"),
        pytest.param({"meaning": "greylisted", "phase": "rcpt"}, False, id="greylisting"),
        pytest.param({"meaning": "mailbox_full", "phase": "rcpt"}, False, id="one mailbox"),
    ],
)
async def test_only_a_destination_that_asks_for_less_gets_less(
    database: Any, fields: dict[str, Any], paced: bool
) -> None:
    one = brakes(database)
    await one.seen(ORIGIN, refused(items(1)[0], **fields))
    assert bool(await Paces(database.paces, PACES).all()) is paced


@pytest.mark.seed("S42")
async def test_three_failed_connections_stop_a_sender_and_one_probe_finds_out(
    database: Any,
) -> None:
    one, two = brakes(database), brakes(database)
    for item in items(3):
        assert (await one.hold(ORIGIN, items(5), NOW)).allowed == items(5)
        await one.seen(ORIGIN, refused(item, **LOST))
    held = await one.hold(ORIGIN, items(5), NOW)
    assert not held.allowed
    assert "failed 3 times in a row, tried again at" in held.waiting[0].reason
    assert held.waiting[0].retry_at == NOW + MINUTE
    assert (await one.hold(OTHER, items(5), NOW)).allowed == items(5)
    await two.refresh()
    after = NOW + MINUTE
    granted = [len((await each.hold(ORIGIN, items(5), after)).allowed) for each in (one, two)]
    assert granted == [1, 0], "one probe, whoever asks"
    await one.seen(ORIGIN, Settled(items(1)[0], Outcome.ACCEPTED, after))
    await two.refresh()
    assert [len((await each.hold(ORIGIN, items(5), after)).allowed) for each in (one, two)] == [
        5,
        5,
    ]


@pytest.mark.parametrize("outcome", [Outcome.POSTPONED, Outcome.SKIPPED])
async def test_a_probe_that_did_not_go_leaves_its_place_to_the_next(
    database: Any, outcome: Outcome
) -> None:
    one = brakes(database)
    for item in items(3):
        await one.seen(ORIGIN, refused(item, **LOST))
    after = NOW + MINUTE
    (probe,) = (await one.hold(ORIGIN, items(5), after)).allowed
    assert not (await one.hold(ORIGIN, items(5), after)).allowed
    await one.seen(ORIGIN, Settled(probe, outcome, after))
    assert len((await one.hold(ORIGIN, items(5), after)).allowed) == 1


async def test_a_refused_recipient_shows_that_the_way_is_open(database: Any) -> None:
    one = brakes(database)
    for item in items(2):
        await one.seen(ORIGIN, refused(item, **LOST))
    await one.seen(ORIGIN, refused(items(1)[0], meaning="unknown_user", phase="rcpt"))
    assert await Breakers(database.breakers, BREAKERS).all() == {}


async def test_what_cannot_be_learnt_stops_no_mail(database: Any) -> None:
    class Gone(Breakers):
        async def fail(self, sender_id: str, at: int, reason: str) -> Any:
            from pymongo.errors import AutoReconnect

            raise AutoReconnect("the database is away")

    one = brakes(database, breakers=Gone(database.breakers, BREAKERS))
    await one.seen(ORIGIN, refused(items(1)[0], **LOST))
