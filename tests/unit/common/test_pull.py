"""The continuous pull asks for no more than there is room for, whatever the server answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from postfleet import pull
from postfleet.pull import PullLimits, PullLoop

LIMITS = PullLimits(
    prefetch=10, batch=4, expires=timedelta(seconds=5), heartbeat=timedelta(seconds=0.1)
)


class Message:
    def __init__(self, number: int) -> None:
        self.headers = None
        self.reply = f"$JS.ACK.{number}"
        self.number = number


class Note:
    """What the server itself says about a pull request."""

    reply = ""

    def __init__(self, status: str, unserved: int | None = None) -> None:
        self.headers = {"Status": status}
        if unserved is not None:
            self.headers["Nats-Pending-Messages"] = str(unserved)


class Server:
    """Plays NATS: remembers what was asked and given back."""

    is_connected = True

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.given_back: list[str] = []
        self.deliver: Any = None

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def subscribe(self, _: str, cb: Any, pending_msgs_limit: int) -> "Server":
        assert pending_msgs_limit > LIMITS.prefetch
        self.deliver = cb
        return self

    async def publish(self, subject: str, body: bytes, reply: str = "") -> None:
        if body == b"-NAK":
            self.given_back.append(subject)
        else:
            assert (subject, reply) == ("$JS.API.CONSUMER.MSG.NEXT.S.d", "_INBOX.x")
            self.asked.append(json.loads(body)["batch"])

    async def drain(self) -> None:
        return None

    async def flush(self) -> None:
        return None

    async def send(self, *messages: Any) -> None:
        for message in messages:
            await self.deliver(message)
        await asyncio.sleep(0.01)


class World:
    def __init__(self) -> None:
        self.server = Server()
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.loop = PullLoop(self.server, "S", "d", self.handle, LIMITS)  # type: ignore[arg-type]

    async def handle(self, messages: list[Any]) -> None:
        self.batches.append([message.number for message in messages])
        await self.gate.wait()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(pull, "_PAUSE_AFTER_PROBLEM", 0)
    running = World()
    await running.loop.start()
    await asyncio.sleep(0.01)
    yield running
    running.gate.set()
    await running.loop.stop()


async def test_it_asks_for_as_many_as_there_is_room_for(world: World) -> None:
    assert world.server.asked == [LIMITS.prefetch]


async def test_a_handler_gets_at_most_a_batch_in_order_and_one_at_a_time(world: World) -> None:
    world.gate.clear()
    await world.server.send(*map(Message, range(10)))
    assert world.batches == [[0]] or world.batches == [[0, 1, 2, 3]]
    world.gate.set()
    await asyncio.sleep(0.01)
    assert [number for batch in world.batches for number in batch] == list(range(10))
    assert max(map(len, world.batches)) <= LIMITS.batch


async def test_what_is_asked_and_waits_never_exceeds_the_prefetch(world: World) -> None:
    sent = 0
    for _ in range(20):
        room = sum(world.server.asked) - sent
        assert 0 <= room <= LIMITS.prefetch
        await world.server.send(*map(Message, range(sent, sent + min(3, room))))
        sent += min(3, room)
    assert [n for batch in world.batches for n in batch] == list(range(sent))
    assert sent > 2 * LIMITS.prefetch


async def test_no_new_request_before_half_is_used(world: World) -> None:
    await world.server.send(*map(Message, range(4)))
    assert world.server.asked == [10]
    await world.server.send(Message(4))
    assert world.server.asked == [10, 5]


@pytest.mark.parametrize(
    ("note", "asked"),
    [
        pytest.param(Note("100"), [10], id="a heartbeat changes nothing"),
        pytest.param(Note("408", 10), [10, 10], id="a request that expired is made again"),
        pytest.param(Note("404"), [10, 10], id="no messages"),
        pytest.param(Note("409"), [10, 10], id="the durable was deleted"),
        pytest.param(Note("503"), [10, 10], id="nobody answers for the durable"),
        pytest.param(Note("409", 3), [10, 10], id="a request that ended early"),
    ],
)
async def test_a_note_of_the_server_is_no_message(
    note: Note, asked: list[int], world: World
) -> None:
    await world.server.send(note)
    assert world.server.asked == asked
    assert world.batches == []


async def test_an_event_with_a_status_header_is_a_message(world: World) -> None:
    message = Message(1)
    message.headers = {"Status": "409"}  # type: ignore[assignment]
    await world.server.send(message)
    assert world.batches == [[1]]


async def test_a_request_that_was_lost_is_made_again_when_the_heartbeats_stop(world: World) -> None:
    await asyncio.sleep(0.15)
    assert world.server.asked == [10]
    world.loop._last_received -= 60
    await asyncio.sleep(0.15)
    assert world.server.asked == [10, 10]


async def test_a_handler_that_raises_does_not_end_the_loop(world: World) -> None:
    async def fail(_: list[Any]) -> None:
        raise ValueError

    world.loop._handler = fail
    await world.server.send(Message(1))
    world.loop._handler = world.handle
    await world.server.send(Message(2))
    assert world.batches == [[2]]


async def test_stopping_gives_back_what_was_not_handed_over(world: World) -> None:
    world.gate.clear()
    await world.server.send(*map(Message, range(6)))
    handed = {n for batch in world.batches for n in batch}
    stopping = asyncio.create_task(world.loop.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done(), "the running handler finishes first"
    world.gate.set()
    await stopping
    handed_in_all = {n for batch in world.batches for n in batch}
    assert handed_in_all == handed, "nothing new was begun"
    assert world.server.given_back == [f"$JS.ACK.{n}" for n in range(6) if n not in handed]


async def test_a_handler_that_hangs_is_left_after_the_time_allowed(world: World) -> None:
    world.gate.clear()
    await world.server.send(Message(1))
    async with asyncio.timeout(3):
        await world.loop.stop(timeout=0.1)
    assert world.batches == [[1]]
