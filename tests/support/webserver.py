"""A little HTTPS server that answers by a function, and remembers what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h11

#: status and body; a body may be empty
Reply = tuple[int, bytes]


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """`url` has no path; `asked` grows by one for each request."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def web_server(
    answer: Callable[[Asked], Awaitable[Reply]],
    certificates: tuple[Path, Path, Path] | None,
    port: int = 0,
) -> AsyncIterator[WebServer]:
    """Serve `https://localhost:<port>` until the end of the block; http without certificates."""
    context = None
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates[1], certificates[2])
    running = WebServer()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            running.asked.append(asked)
            status, body = await answer(asked)
            http = h11.Connection(h11.SERVER)
            head = h11.Response(
                status_code=status, headers=[("content-length", str(len(body)))], reason=b"-"
            )
            http.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            http.next_event()
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(http.send(event) or b"")
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, ssl=context)
    scheme = "https" if certificates else "http"
    running.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    http = h11.Connection(h11.SERVER)
    head, body = None, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Asked(head.method.decode(), head.target.decode(), headers, body)
        else:
            raise ConnectionError("the client went away")
