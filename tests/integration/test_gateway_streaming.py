"""The gateway as a process in front of a real server: bodies flow, connections end when they should."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tests.support.ports import free_ports
from tests.support.process import ServerProcess, listens

_PATH = "/api/public/v1/campaigns"


@dataclass
class Upstream:
    """An ASGI app that hands its side of each exchange to the test."""

    port: int
    arrived: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    to_send: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"].endswith("/hang"):
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            if message.get("body"):
                self.arrived.put_nowait(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (chunk := await self.to_send.get()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        config = uvicorn.Config(
            self, port=self.port, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        running = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            await running


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    gateway, upstream = free_ports(2)
    return gateway, upstream


@pytest.fixture(scope="module")
def gateway_url(ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    gateway, upstream = ports
    names = ("SENDER_REGISTRY", "DISPATCHER", "INBOX_WATCHER", "TRACKER", "MAIL_PROVISIONER")
    urls = {f"POSTFLEET_GATEWAY_{name}_URL": f"http://127.0.0.1:{upstream}" for name in names}
    env = {**os.environ, **urls, "POSTFLEET_HTTP_PORT": str(gateway)}
    log: Path = tmp_path_factory.mktemp("gateway") / "log"
    process = ServerProcess([sys.executable, "-m", "postfleet_cli.gateway"], log, env)
    try:
        process.wait_until(lambda: listens(gateway), "gateway")
        yield f"http://127.0.0.1:{gateway}"
    finally:
        process.kill()


@pytest.fixture
async def client(gateway_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway_url, timeout=10) as one:
        yield one


@pytest.fixture
async def upstream(ports: tuple[int, int], gateway_url: str) -> AsyncIterator[Upstream]:
    one = Upstream(ports[1])
    async with one.serving():
        yield one


async def test_an_answer_reaches_the_client_while_it_is_made(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    upstream.to_send.put_nowait(b"first")
    async with client.stream("GET", _PATH) as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"first"
        upstream.to_send.put_nowait(b"second")
        assert await anext(chunks) == b"second"
        upstream.to_send.put_nowait(None)
        assert [chunk async for chunk in chunks] == []


async def test_a_body_reaches_the_service_while_it_is_sent(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    seen: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        for part in (b"first", b"second"):
            yield part
            seen.append(await upstream.arrived.get())

    upstream.to_send.put_nowait(None)
    answer = await client.post(_PATH, content=body())
    assert answer.status_code == 200
    assert seen == [b"first", b"second"]


async def test_ten_megabytes_go_through_unchanged(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    block = os.urandom(1 << 20)
    for _ in range(10):
        upstream.to_send.put_nowait(block)
    upstream.to_send.put_nowait(None)
    answer = await client.post(_PATH, content=block * 10)
    arrived = b"".join(upstream.arrived.get_nowait() for _ in range(upstream.arrived.qsize()))
    assert answer.content == block * 10 == arrived


async def test_a_client_that_leaves_is_noticed_by_the_service(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await client.get(f"{_PATH}/hang", timeout=0.3)
    async with asyncio.timeout(5):
        await upstream.left.wait()
    assert upstream.left.is_set()


async def test_an_answer_that_breaks_off_does_not_look_complete(
    client: httpx.AsyncClient, ports: tuple[int, int]
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", ports[1]):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(_PATH)


async def test_a_service_that_comes_back_is_found_at_once(
    client: httpx.AsyncClient, ports: tuple[int, int]
) -> None:
    down = await client.get(_PATH)
    assert (down.status_code, down.headers["retry-after"]) == (503, "2")
    one = Upstream(ports[1])
    async with one.serving():
        for _ in range(3):
            one.to_send.put_nowait(None)
            assert (await client.get(_PATH)).status_code == 200
    assert (await client.get(_PATH)).status_code == 503
