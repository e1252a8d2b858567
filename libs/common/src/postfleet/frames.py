"""Messages with headers as octets on the wire (NATS `HPUB`), many joined to one write.

nats-py encodes header by header and wakes its writer for every message, about 25 µs each; a batch of
events is encoded here and handed to the client at once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from nats.aio.client import Client
from nats.errors import ConnectionClosedError

_MAX_JOINED_OCTETS = 256 * 1024  # so that what is joined is copied no more than once


class Framed(Protocol):
    """What a frame needs of an entry."""

    @property
    def subject(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def frame(entry: Framed, more: str) -> bytes:
    """One `HPUB` without a reply subject; `more` are further header lines, each with its CRLF.

    Raises ValueError for a header that would break its line.
    """
    headers, body = entry.headers, entry.body
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError(f"a header of {entry.subject} has a line end in it")
    head = f"NATS/1.0\r\n{lines}{more}\r\n".encode()
    size = len(head)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (
        entry.subject.encode(),
        size,
        size + len(body),
        head,
        body,
    )


async def write(client: Client, frames: Sequence[bytes]) -> None:
    """Hand the frames to the client's write buffer, in order, and wake its writer."""
    if client.is_closed or client.is_draining_pubs:
        raise ConnectionClosedError
    joined: list[bytes] = []
    size = 0
    for one in frames:
        joined.append(one)
        size += len(one)
        if size > _MAX_JOINED_OCTETS:
            await client._send_command(b"".join(joined))
            joined, size = [], 0
    if joined:
        await client._send_command(b"".join(joined))
    await client._flush_pending()
