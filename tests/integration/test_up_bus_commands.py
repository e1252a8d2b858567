"""`postfleet bus apply`, `dead-letters` and `events tail` against a real nats-own_nats."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, Received
from postfleet.events.campaigns import CampaignStarted
from postfleet.topology import DEAD_LETTERS, DURABLES, EVENT_STREAM, STREAMS
from tests.support.natsserver import NatsServer

_COMMAND = str(Path(sys.executable).parent / "postfleet")
_DURABLE = "tracker-events"


@pytest.fixture
async def jetstream(own_nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    """Streams as `bus apply` makes them, and empty; ids of events are still known as said."""
    assert _postfleet(own_nats, "bus", "apply").returncode == 0
    client = await nats.connect(own_nats.url)
    js = client.jetstream()
    for stream in STREAMS:
        await js.purge_stream(stream.name)
    yield js
    await client.close()


def _postfleet(own_nats: NatsServer, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NATS_URL": own_nats.url}
    return subprocess.run(
        [_COMMAND, *words], env=env, capture_output=True, text=True, check=False, timeout=120
    )


async def _run(own_nats: NatsServer, *words: str) -> str:
    done = await asyncio.to_thread(_postfleet, own_nats, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _event(campaign: str) -> Announcement:
    now = datetime.now(UTC)
    return Announcement(CampaignStarted(occurred_at=now, campaign_id=campaign), f"event-{campaign}")


async def _bury(own_nats: NatsServer, campaign: str) -> None:
    """Say an event that a consumer gives up at its first delivery."""
    bus = Bus(own_nats.url, "tracker")
    buried = asyncio.Event()

    async def refuse(messages: list[Any]) -> None:
        for message in messages:
            await bus.bury(_DURABLE, message, "cannot be used")
            buried.set()

    bus.consume_messages(_DURABLE, refuse)
    await bus.start()
    try:
        await bus.publish(_event(campaign))
        async with asyncio.timeout(60):
            await buried.wait()
    finally:
        await bus.stop()


async def _consumers(jetstream: JetStreamContext) -> set[str]:
    return {consumer.name for consumer in await jetstream.consumers_info(EVENT_STREAM.name)}


async def test_apply_makes_every_stream_and_durable_and_can_be_repeated(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    again = await _run(own_nats, "bus", "apply")
    for durable in DURABLES:
        assert await jetstream.consumer_info(durable.stream, durable.name)
        assert f"durable {durable.name} applied" in again.splitlines()
    assert "stream EVENTS updated" in again.splitlines()
    touched = json.loads(await _run(own_nats, "bus", "apply", "--json"))["touched"]
    assert [" ".join(one.values()) for one in touched] == again.splitlines()
    assert {"kind": "stream", "name": "EVENTS", "change": "updated"} in touched
    rebuilt = await _run(own_nats, "bus", "rebuild", _DURABLE)
    assert rebuilt == f"{_DURABLE} hears 0 events again\n"


async def test_a_dead_letter_is_listed_shown_replayed_and_gone(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    await _bury(own_nats, "c1")
    (letter,) = json.loads(await _run(own_nats, "dead-letters", "list", "--json"))
    assert letter["durable"] == _DURABLE
    assert letter["subject"] == "campaign.started"
    assert letter["reason"] == "cannot be used"
    assert letter["event_id"] == "event-c1"
    number = str(letter["number"])
    shown = json.loads(await _run(own_nats, "dead-letters", "show", number, "--json"))
    assert json.loads(shown["body"])["campaign_id"] == "c1"

    heard = await jetstream.pull_subscribe(
        "campaign.started", config=ConsumerConfig(inactive_threshold=600), stream=EVENT_STREAM.name
    )
    await _run(own_nats, "dead-letters", "replay", number)
    first, second = await heard.fetch(2, timeout=5)
    assert first.data == second.data
    assert first.headers is not None
    assert second.headers is not None
    assert first.headers["ce-id"] == second.headers["ce-id"] == "event-c1"
    assert first.headers["Nats-Msg-Id"] != second.headers["Nats-Msg-Id"]
    assert [name for name in second.headers if name.startswith("x-dead")] == []
    assert json.loads(await _run(own_nats, "dead-letters", "list", "--json")) == []


async def test_all_dead_letters_of_a_consumer_are_replayed_and_heard_again(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    await _bury(own_nats, "all-1")
    await _bury(own_nats, "all-2")
    await _run(own_nats, "dead-letters", "replay", "--durable", _DURABLE)
    assert (await jetstream.stream_info(DEAD_LETTERS.name)).state.messages == 0

    ids: list[str] = []
    bus = Bus(own_nats.url, "tracker")

    async def hear(events: list[Received[Any]]) -> None:
        ids.extend(event.id for event in events)

    bus.consume_batches(_DURABLE, hear)
    await bus.start()
    try:
        async with asyncio.timeout(60):
            while len(ids) < 2:  # noqa: ASYNC110 (the handler may run twice)
                await asyncio.sleep(0.02)
    finally:
        await bus.stop()
    assert sorted(ids) == ["event-all-1", "event-all-2"]


async def test_a_number_that_is_no_dead_letter_is_refused(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    done = await asyncio.to_thread(_postfleet, own_nats, "dead-letters", "replay", "999")
    assert (done.returncode, done.stderr) == (1, "postfleet: DEAD_LETTERS has no message 999\n")
    assert (await jetstream.stream_info(EVENT_STREAM.name)).state.messages == 0


async def test_tail_prints_old_and_new_events_and_leaves_no_consumer(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    before = await _consumers(jetstream)
    bus = Bus(own_nats.url, "dispatcher")
    await bus.connect()
    await bus.publish(_event("tail-1"))
    process = await asyncio.create_subprocess_exec(
        *(_COMMAND, "events", "tail", "--all", "--json", "--subject", "campaign.*"),
        env={**os.environ, "NATS_URL": own_nats.url},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = json.loads(await process.stdout.readline())
        await bus.publish(_event("tail-2"))
        second = json.loads(await process.stdout.readline())
    during = await _consumers(jetstream)
    process.terminate()
    await process.wait()
    await bus.stop()
    assert [first["aggregate"], second["aggregate"]] == ["tail-1", "tail-2"]
    assert first["subject"] == "campaign.started"
    assert first["source"] == "/dispatcher"
    assert first["data"]["campaign_id"] == "tail-1"
    assert during == before


def test_a_nats_that_does_not_answer_is_named(own_nats: NatsServer) -> None:
    env = {**os.environ, "NATS_URL": "nats://127.0.0.1:1"}
    done = subprocess.run(
        [_COMMAND, "dead-letters", "list"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert done.stderr.startswith("postfleet: NATS at nats://127.0.0.1:1 does not answer")
    assert len(done.stderr.splitlines()) == 1
