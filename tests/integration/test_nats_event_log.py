"""`postfleet events tail|replay` by time, type and campaign, and `dead-letters drop`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.js import JetStreamContext

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignPaused, CampaignStarted
from postfleet.topology import DEAD_LETTERS, EVENT_STREAM
from tests.support.natsserver import NatsServer

_COMMAND = str(Path(sys.executable).parent / "postfleet")


@pytest.fixture
async def bus(own_nats: NatsServer, jetstream: JetStreamContext) -> AsyncIterator[Bus]:
    one = Bus(own_nats.url, "dispatcher")
    await one.connect()
    yield one
    await one.stop()


async def _run(
    own_nats: NatsServer, *words: str, text: str | None = None
) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [_COMMAND, *words],
        env={**os.environ, "NATS_URL": own_nats.url},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def _lines(own_nats: NatsServer, *words: str) -> list[dict[str, Any]]:
    done = await _run(own_nats, "events", *words, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _started(campaign: str) -> Announcement:
    return Announcement(CampaignStarted(occurred_at=datetime.now(UTC), campaign_id=campaign))


def _paused(campaign: str) -> Announcement:
    event = CampaignPaused(occurred_at=datetime.now(UTC), campaign_id=campaign, by="operator")
    return Announcement(event)


async def test_replay_prints_the_whole_retention_in_order_and_ends(
    own_nats: NatsServer, bus: Bus, jetstream: JetStreamContext
) -> None:
    await bus.publish(*(_started(f"c{n}") for n in range(1203)))  # more than two batches
    before = {consumer.name for consumer in await jetstream.consumers_info(EVENT_STREAM.name)}
    printed = await _lines(own_nats, "replay")
    assert [line["aggregate"] for line in printed] == [f"c{n}" for n in range(1203)]
    assert [line["sequence"] for line in printed] == sorted(line["sequence"] for line in printed)
    after = {consumer.name for consumer in await jetstream.consumers_info(EVENT_STREAM.name)}
    assert after == before


async def test_replay_keeps_to_type_and_campaign(own_nats: NatsServer, bus: Bus) -> None:
    await bus.publish(_started("a"), _paused("a"), _started("b"), _paused("b"))
    found = await _lines(own_nats, "replay", "--type", "campaign.paused")
    assert [line["aggregate"] for line in found] == ["a", "b"]
    found = await _lines(own_nats, "replay", "--campaign", "b")
    assert [line["subject"] for line in found] == ["campaign.started", "campaign.paused"]
    assert await _lines(own_nats, "replay", "--type", "bounce.*", "--campaign", "b") == []


async def test_replay_keeps_to_a_period(own_nats: NatsServer, bus: Bus) -> None:
    await bus.publish(_started("early"))
    await asyncio.sleep(0.05)
    first = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await bus.publish(_started("middle"))
    await asyncio.sleep(0.05)
    last = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await bus.publish(_started("late"))

    async def campaigns(*words: str) -> list[str]:
        return [line["aggregate"] for line in await _lines(own_nats, "replay", *words)]

    since, until = first.isoformat(), last.isoformat()
    assert await campaigns("--since", since) == ["middle", "late"]
    assert await campaigns("--until", until) == ["early", "middle"]
    assert await campaigns("--since", since, "--until", until) == ["middle"]
    assert await campaigns("--since", "1h") == ["early", "middle", "late"]
    assert await campaigns("--until", "1h") == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert await campaigns("--since", tomorrow) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--since", "yesterday"), "is no time", id="neither form"),
        pytest.param(("--since", "2026-11-21T10:00:00"), "names no zone", id="no zone"),
        pytest.param(("--since", "1h", "--until", "2h"), "--until is not after", id="reversed"),
        pytest.param(("--since", "99999999d"), "before the year 1", id="too long ago"),
    ],
)
async def test_a_period_that_is_none_is_refused(
    own_nats: NatsServer, words: tuple[str, ...], said: str
) -> None:
    done = await _run(own_nats, "events", "replay", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


async def test_tail_goes_on_from_a_time_until_a_time(own_nats: NatsServer, bus: Bus) -> None:
    await bus.publish(_started("before"))
    until = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    printing = asyncio.create_task(_lines(own_nats, "tail", "--since", "1h", "--until", until))
    await asyncio.sleep(2.5)  # the command has started by then
    await bus.publish(_started("during"))
    assert [line["aggregate"] for line in await printing] == ["before", "during"]


async def _bury(jetstream: JetStreamContext, *durables: str) -> list[str]:
    """Dead letters as the bus writes them; their numbers."""
    numbers = []
    for place, durable in enumerate(durables):
        headers = {
            "x-dead-durable": durable,
            "x-dead-subject": "email.sent",
            "x-dead-stream": "EVENTS",
            "x-dead-reason": f"reason {place}",
        }
        ack = await jetstream.publish(f"dead.{durable}.email.sent", b"{}", headers=headers)
        numbers.append(str(ack.seq))
    return numbers


async def _left(jetstream: JetStreamContext) -> int:
    return (await jetstream.stream_info(DEAD_LETTERS.name)).state.messages


async def test_dropping_a_dead_letter_asks_first(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    number, other = await _bury(jetstream, "tracker-events", "tracker-events")
    refused = await _run(own_nats, "dead-letters", "drop", number, text="n\n")
    assert refused.returncode == 1
    assert "reason 0" in refused.stdout
    assert await _left(jetstream) == 2
    agreed = await _run(own_nats, "dead-letters", "drop", number, text="y\n")
    assert agreed.returncode == 0, agreed.stderr
    assert "dropped 1 dead letters" in agreed.stdout
    assert await _left(jetstream) == 1
    assert (await jetstream.get_msg(DEAD_LETTERS.name, int(other))).seq == int(other)
    events = (await jetstream.stream_info(EVENT_STREAM.name)).state
    assert events.messages == 0, "nobody hears of a dropped one"


async def test_a_dead_letter_that_was_cut_is_replayed_whole_or_not_at_all(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    whole = await jetstream.publish("email.sent", b"x" * 5000)
    headers = {
        "x-dead-durable": "tracker-events",
        "x-dead-subject": "email.sent",
        "x-dead-stream": "EVENTS",
        "x-dead-reason": "no event",
        "x-dead-sequence": str(whole.seq),
        "x-dead-bytes": "5000",
    }
    first = await jetstream.publish("dead.tracker-events.email.sent", b"x", headers=headers)
    done = await _run(own_nats, "dead-letters", "replay", str(first.seq))
    assert done.returncode == 0, done.stderr
    newest = (await jetstream.stream_info(EVENT_STREAM.name)).state.last_seq
    assert newest == whole.seq + 1
    assert (await jetstream.get_msg(EVENT_STREAM.name, newest)).data == b"x" * 5000

    second = await jetstream.publish("dead.tracker-events.email.sent", b"x", headers=headers)
    await jetstream.purge_stream(EVENT_STREAM.name)
    refused = await _run(own_nats, "dead-letters", "replay", str(second.seq))
    assert refused.returncode == 1
    assert "was cut" in refused.stderr
    assert await _left(jetstream) == 1, "it stays, for the operator to look at"


async def test_all_dead_letters_of_a_consumer_are_dropped_and_no_others(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    *_, kept = await _bury(
        jetstream, "tracker-events", "tracker-events", "sender-registry-outcomes"
    )
    done = await _run(own_nats, "dead-letters", "drop", "--durable", "tracker-events", "--yes")
    assert done.returncode == 0, done.stderr
    assert "dropped 2 dead letters" in done.stdout
    assert await _left(jetstream) == 1
    assert (await jetstream.get_msg(DEAD_LETTERS.name, int(kept))).seq == int(kept)


async def test_dropping_what_is_not_there_is_refused(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    (number,) = await _bury(jetstream, "tracker-events")
    done = await _run(own_nats, "dead-letters", "drop", number, "999999", "--yes")
    assert (done.returncode, done.stderr) == (
        1,
        "postfleet: DEAD_LETTERS has no message 999999\n",
    )
    assert await _left(jetstream) == 1, "all or nothing"
    nothing = await _run(own_nats, "dead-letters", "drop")
    assert nothing.returncode == 2
