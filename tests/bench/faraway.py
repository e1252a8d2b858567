"""A submission server with STARTTLS and AUTH, a round trip away: for kernels without netem.

A TCP proxy delays each direction by half of the round trip, in order, without a limit of bandwidth
and without slow start; a new connection costs one and a half round trips more, as a handshake would.
"""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop

from postfleet_sandbox.tls import certificates
from tests.bench.mails import REVERSE_PATH
from tests.bench.submission import sessions

_TO_GREET = 2  # round trips: the handshake, and until the greeting is heard
PASSWORD = "a password for the bench"


class _End(asyncio.Protocol):
    """One side of a connection; what it hears it says to the other side half a round trip later."""

    def __init__(self, half_seconds: float) -> None:
        self._half = half_seconds
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is not asyncio's class
        own: socket.socket = transport.get_extra_info("socket")
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._half, self._forward, data)

    def _forward(self, data: bytes) -> None:
        other = self.peer.transport if self.peer else None
        if other is not None and not other.is_closing():
            other.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._half, self._close_peer)

    def _close_peer(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.close()


class _Front(_End):
    """The client's side; dials the server when a handshake would be over."""

    def __init__(self, half_seconds: float, upstream: int, count: Callable[[int], None]) -> None:
        super().__init__(half_seconds)
        self._upstream, self._count = upstream, count
        self._answered = False
        self._dialling: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        if self._answered:  # the client has waited for what it heard
            self._answered = False
            self._count(1)
        super().data_received(data)

    def hears(self) -> None:
        """What the server says is on its way to the client."""
        self._answered = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._count(_TO_GREET)
        transport.pause_reading()  # type: ignore[attr-defined]
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        await asyncio.sleep(3 * self._half)
        back = _Back(self._half, self)
        self.peer = back
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: back, "127.0.0.1", self._upstream)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class _Back(_End):
    """The server's side."""

    def __init__(self, half_seconds: float, front: _Front) -> None:
        super().__init__(half_seconds)
        self.peer, self._front = front, front

    def data_received(self, data: bytes) -> None:
        self._front.hears()
        super().data_received(data)


class FarAway:
    """`with FarAway(0.02) as server: server.port, server.ca_file`, in a thread of its own.

    `round_trips` counts, over all connections, how often a client has spoken after it had to wait for
    an answer, and two for each connection: the handshake and the greeting. No clock is in it.
    """

    def __init__(self, round_trip_seconds: float) -> None:
        self.port, self.ca_file = 0, ""
        self.round_trips = 0
        self.username, self.password = REVERSE_PATH, PASSWORD
        self._half = round_trip_seconds / 2
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(30)
        if self._error is not None or not self.port:
            raise RuntimeError("the far server did not start") from self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def _count(self, round_trips: int) -> None:
        self.round_trips += round_trips

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except Exception as error:
                self._error = error
            finally:
                self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        with tempfile.TemporaryDirectory(prefix="far") as folder:
            files = certificates(Path(folder))
            far = sessions(files.server_context(), self.username, self.password)
            server = await self._loop.create_server(far, "127.0.0.1", 0, backlog=512)
            upstream: int = server.sockets[0].getsockname()[1]
            front = await self._loop.create_server(
                lambda: _Front(self._half, upstream, self._count), "127.0.0.1", 0, backlog=512
            )
            self.port = front.sockets[0].getsockname()[1]
            self.ca_file = str(files.ca_file)
            self._ready.set()
            await self._over.wait()
            front.close()
            server.close()
