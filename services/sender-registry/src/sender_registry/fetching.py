"""One HTTPS request to a host that others named: guarded, capped, no redirects, no cookies."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from postfleet.reachable import WEB_PORTS
from sender_registry.connecting import Reach, open_socket
from sender_registry.domain.validation import CheckFailed

_MAX_BODY_BYTES = 256 * 1024
_CHUNK = 16 * 1024


class FetchFailed(Exception):
    """No answer, or too much of one. The text holds nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """`url` is https. Headers and body are in no repr: they may carry secrets."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = field(repr=False)


async def fetch(request: Request, reach: Reach) -> Answer:
    """Ask once, within `reach.timeout_seconds`. Raises FetchFailed."""
    host = urlsplit(request.url).hostname or ""
    try:
        async with asyncio.timeout(reach.timeout_seconds):
            return await _fetch(request, reach)
    except TimeoutError as error:
        raise FetchFailed(f"{host} does not answer in time") from error
    except CheckFailed as error:
        raise FetchFailed(error.detail) from error
    except (OSError, h11.ProtocolError) as error:
        reason = getattr(error, "verify_message", "") or type(error).__name__
        raise FetchFailed(f"{host}: {reason}") from error


async def _fetch(request: Request, reach: Reach) -> Answer:
    parts = urlsplit(request.url)
    if parts.scheme != "https" or not parts.hostname:
        raise FetchFailed("only https is asked")
    port = parts.port or 443
    connection = await open_socket(parts.hostname, port, reach, WEB_PORTS)
    reader, writer = await asyncio.open_connection(
        sock=connection, ssl=reach.tls, server_hostname=parts.hostname
    )
    try:
        return await _talk(request, reader, writer)
    finally:
        writer.close()


async def _talk(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Answer:
    parts = urlsplit(request.url)
    http = h11.Connection(h11.CLIENT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "host": parts.netloc,
        "connection": "close",
        "content-length": str(len(request.body)),
        **request.headers,
    }
    head = h11.Request(method=request.method, target=target, headers=list(headers.items()))
    for part in (head, h11.Data(data=request.body), h11.EndOfMessage()):
        writer.write(http.send(part) or b"")
    status, body = 0, b""
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                http.receive_data(await reader.read(_CHUNK))
            case h11.Response():
                status = event.status_code
            case h11.Data():
                body += bytes(event.data)
                if len(body) > _MAX_BODY_BYTES:
                    raise FetchFailed(f"{parts.hostname} answers more than {_MAX_BODY_BYTES} bytes")
            case h11.EndOfMessage():
                return Answer(status, body)
            case h11.ConnectionClosed():
                raise FetchFailed(f"{parts.hostname} closed the connection")
            case _:  # 1xx
                continue
