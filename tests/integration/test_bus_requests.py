"""Request and reply: an answer, a reason, or `Unavailable`; never a hanging caller."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from postfleet.bus import Bus
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused
from postfleet.topology import RPC_CREDENTIALS
from tests.support.busworld import BusWorld
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
async def world() -> AsyncIterator[BusWorld]:
    async with BusWorld() as running:
        await running.apply()
        yield running


async def _responder(world: BusWorld, answered: list[str] | None = None, name: str = "a") -> Bus:
    async def credentials(request: dict[str, Any]) -> dict[str, Any]:
        if answered is not None:
            answered.append(name)
        match request["sender_id"]:
            case "unknown":
                raise RequestRefused("there is no sender 'unknown'")
            case "broken":
                raise ZeroDivisionError("with pa55word in its text")
            case "slow":
                await asyncio.sleep(5)
        return {"sealed": request["sender_id"]}

    return await world.service(
        "sender-registry", lambda bus: bus.answer(RPC_CREDENTIALS, credentials)
    )


async def test_a_request_is_answered(world: BusWorld) -> None:
    await _responder(world)
    caller = await world.service("dispatcher")
    answers = await asyncio.gather(
        *(caller.request(RPC_CREDENTIALS, {"sender_id": f"s{n}"}) for n in range(20))
    )
    assert [answer["sealed"] for answer in answers] == [f"s{n}" for n in range(20)]


async def test_a_refusal_comes_with_its_reason(world: BusWorld) -> None:
    await _responder(world)
    caller = await world.service("dispatcher")
    with pytest.raises(RequestRefused, match="there is no sender 'unknown'"):
        await caller.request(RPC_CREDENTIALS, {"sender_id": "unknown"})


@pytest.mark.parametrize("body", [{"sender_id": "broken"}, {}])
async def test_a_failure_of_the_responder_is_an_answer_without_details(
    body: dict[str, Any], world: BusWorld
) -> None:
    await _responder(world)
    caller = await world.service("dispatcher")
    with pytest.raises(RequestRefused) as refusal:
        await caller.request(RPC_CREDENTIALS, body)
    assert str(refusal.value) == "internal error"
    assert (await caller.request(RPC_CREDENTIALS, {"sender_id": "s1"}))["sealed"] == "s1"


async def test_a_started_responder_is_found_however_far_its_server_is(world: BusWorld) -> None:
    async with _far_away(world.server.port) as port:
        bus = Bus(f"nats://127.0.0.1:{port}", "sender-registry")
        bus.answer(RPC_CREDENTIALS, _sealed)
        try:
            await bus.start()
            reply = await world.client.request(RPC_CREDENTIALS, b"{}", timeout=5)
        finally:
            await bus.stop()
    assert reply.data == b'{"sealed":"s1"}'


async def _sealed(_: dict[str, Any]) -> dict[str, Any]:
    return {"sealed": "s1"}


@asynccontextmanager
async def _far_away(port: int) -> AsyncIterator[int]:
    """A port from which what is said needs a tenth of a second to that of 127.0.0.1."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await asyncio.sleep(0.1)
            target.write(data)
        target.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, to_there), carry(there, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_request_that_is_no_json_is_answered_too(world: BusWorld) -> None:
    await _responder(world)
    reply = await world.client.request(RPC_CREDENTIALS, b"\xff not JSON", timeout=5)
    assert reply.data == b'{"error":"internal error"}'


async def test_without_a_responder_the_caller_knows_at_once(world: BusWorld) -> None:
    caller = await world.service("dispatcher")
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"rpc\.sender\.credentials: .*no responders"):
        await caller.request(RPC_CREDENTIALS, {"sender_id": "s1"})
    assert time.monotonic() - started < 1


async def test_a_responder_that_is_too_slow_is_unavailable(world: BusWorld) -> None:
    await _responder(world)
    caller = await world.service("dispatcher")
    with pytest.raises(Unavailable, match="rpc"):
        await caller.request(RPC_CREDENTIALS, {"sender_id": "slow"}, timeout=0.3)


async def test_replicas_share_the_requests(world: BusWorld) -> None:
    answered: list[str] = []
    for name in ("a", "b"):
        await _responder(world, answered, name)
    caller = await world.service("dispatcher")
    for number in range(40):
        await caller.request(RPC_CREDENTIALS, {"sender_id": f"s{number}"})
    assert len(answered) == 40
    assert set(answered) == {"a", "b"}
