"""Everything that the dispatcher hears comes three times more, in random order: nothing changes."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.deliveries import BounceHard, BounceSoft
from postfleet.events.event import Event
from postfleet.events.inbox import (
    ComplaintReceived,
    DeliveryDelayed,
    ReplyAutomatic,
    ReplyDetected,
)
from postfleet.events.tracking import (
    EmailClicked,
    EmailOpened,
    RecipientResubscribed,
    RecipientUnsubscribed,
)
from postfleet.instants import now
from tests.support import redelivery
from tests.support.dispatcher import DispatcherWorld

_DURABLES = ("dispatcher-feedback", "dispatcher-hits")
_KEPT = ("deliveries", "leads", "campaigns", "suppressions", "senders", "settlements", "attempts")
_PEOPLE = [f"accept+{n}@people.test" for n in range(9)]


@pytest.fixture
async def tracker(world: DispatcherWorld) -> AsyncIterator[Bus]:
    bus = Bus(world.nats.url, "tracker")
    await bus.connect()
    yield bus
    await bus.stop()


def _what_happened(rows: dict[str, Any]) -> list[Announcement]:
    """One fact of each kind about mails that went; who left has come back since."""
    facts = [_facts(rows[address]) for address in _PEOPLE]
    said: list[Event] = [
        ReplyDetected(**facts[0], inbound_id="in-0", matched_by="message_id"),
        ReplyAutomatic(**facts[1], inbound_id="in-1"),
        BounceHard(**facts[2], observed="dsn", category="unknown_user", enhanced_status="5.1.1"),
        BounceSoft(**facts[3], observed="dsn", category="mailbox_full", enhanced_status="4.2.2"),
        ComplaintReceived(**facts[4], inbound_id="in-4"),
        DeliveryDelayed(**facts[5], inbound_id="in-5"),
        EmailOpened(**facts[6], verdict="human", first=True),
        EmailClicked(**facts[7], verdict="human", first=True, url="https://x.test"),
        RecipientUnsubscribed(**_person(facts[8]), method="page"),
    ]
    back = RecipientResubscribed(
        occurred_at=facts[8]["occurred_at"] + timedelta(seconds=1), recipient=_PEOPLE[8]
    )
    return [Announcement(event, secrets.token_hex(16)) for event in [*said, back]]


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    names = ("campaign_id", "step", "variant", "lead_id", "sender_id", "recipient", "message_id")
    return {"occurred_at": now(), "delivery_id": row["_id"], **{n: row[n] for n in names}}


def _person(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in RecipientUnsubscribed.model_fields if name in facts}


async def _drained(world: DispatcherWorld) -> bool:
    for name in _DURABLES:
        info = await world.bus.jetstream.consumer_info("EVENTS", name)
        if info.num_pending or info.num_ack_pending:
            return False
    state = await _state(world)
    documents = [one for collection in state.values() for one in collection.values()]
    return not any(one.get("outbox_size") or one.get("state") == "new" for one in documents)


async def _completed(world: DispatcherWorld) -> bool:
    (campaign,) = await world.database.campaigns.find({}).to_list(2)
    return bool(campaign["state"] == "completed")


async def _state(world: DispatcherWorld) -> dict[str, dict[str, Any]]:
    return {
        name: {d["_id"]: d async for d in world.database[name].find({}).limit(10_000)}
        for name in _KEPT
    }


async def _ids(world: DispatcherWorld) -> set[str]:
    state = (await world.bus.jetstream.stream_info("EVENTS")).state
    numbers = range(state.first_seq, state.last_seq + 1)
    stored = [await world.bus.jetstream.get_msg("EVENTS", number) for number in numbers]
    return {(message.headers or {})["ce-id"] for message in stored}


async def test_what_was_heard_once_and_comes_three_times_more_changes_nothing(
    world: DispatcherWorld, tracker: Bus
) -> None:
    one = world.dispatcher()
    await one.start()
    rows = await world.settled(await world.campaign(one, _PEOPLE), len(_PEOPLE))
    assert {row["state"] for row in rows.values()} == {"accepted"}
    told = _what_happened(rows)
    await tracker.publish(*told)
    await world.until(lambda: _completed(world), "the campaign ends", one.tail, 60)
    await world.until(lambda: _drained(world), "all heard", one.tail, 60)
    before, ids = await _state(world), await _ids(world)
    marks = ("replied_at", "auto_replied_at", "bounced_at", "complained_at", "opened_at")
    assert set(before["suppressions"]) >= {_PEOPLE[2], _PEOPLE[4]}
    assert _PEOPLE[8] not in before["suppressions"]
    for mark in marks:  # it has heard them
        assert any(mark in row for row in before["deliveries"].values()), mark

    for seed in (1, 2):
        await redelivery.publish(world.bus.jetstream, told, seed)
        await world.until(lambda: _drained(world), "all heard again", one.tail, 60)
        assert await _state(world) == before
        assert await _ids(world) == ids, "and nothing new was said"
    await redelivery.publish(world.bus.jetstream, told[8:9], seed=1, times=1)
    await world.until(lambda: _drained(world), "heard last", one.tail, 60)
    assert await _state(world) == before, "who came back is not taken out again by an old event"
    assert world.accepted() == dict.fromkeys(_PEOPLE, 1)
    dead = await world.bus.jetstream.stream_info("DEAD_LETTERS")
    assert dead.state.messages == 0
