"""Asks for an MTA-STS policy as other mail servers do (RFC 8461 §3.3)."""

import asyncio
import contextlib
import ssl

from mail_provisioner.domain.mta_sts import MAX_BYTES, PATH

_DEADLINE = 10.0  # seconds for all of it


class PolicyNotServed(Exception):
    """Nobody serves it as it must be served; the text says why."""


async def fetch_policy(host: str, address: str, port: int, tls: ssl.SSLContext) -> str:
    """The policy at `https://host/…`; its certificate counts, redirections do not.

    Raises PolicyNotServed.
    """
    try:
        async with asyncio.timeout(_DEADLINE):
            raw = await _exchange(host, address, port, tls)
    except (OSError, TimeoutError, ValueError) as error:
        raise PolicyNotServed(f"{host}: {str(error) or type(error).__name__}") from error
    head, _, body = raw.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode("ascii", "replace")
    if status.split(" ")[1:2] != ["200"]:
        raise PolicyNotServed(f"{host} answers {status!r}")
    if len(raw) > MAX_BYTES:
        raise PolicyNotServed(f"{host} sends more than {MAX_BYTES} bytes")
    return body.decode("utf-8", "replace")


async def _exchange(host: str, address: str, port: int, tls: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=host)
    try:
        # HTTP/1.0: the answer comes in one piece and ends with the connection
        asked = f"GET {PATH} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n"
        writer.write(asked.encode("ascii"))
        raw = b""
        while len(raw) <= MAX_BYTES and (part := await reader.read(MAX_BYTES)):
            raw += part
        return raw
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
