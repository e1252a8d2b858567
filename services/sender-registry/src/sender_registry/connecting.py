"""The way to a mail server that a caller named: resolved once, guarded, then connected to."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from postfleet.events import MailServer
from sender_registry.domain.reachable import Address, Network, refusal
from sender_registry.domain.validation import Check, CheckFailed, Code, first_of


@dataclass(frozen=True, slots=True)
class Reach:
    """What every log-in test needs: where it may go, how long it may take, whom it trusts."""

    allowed_networks: tuple[Network, ...]
    timeout_seconds: float
    tls: ssl.SSLContext
    ehlo_name: str


LogIn = Callable[[MailServer, str, Reach], Awaitable[str]]


async def timed(log_in: LogIn, server: MailServer, password: str, reach: Reach) -> Check:
    """Run one log-in within the limit, which covers everything from the name to the answer."""
    started = time.monotonic()

    def result(code: Code | None, detail: str) -> Check:
        return Check(code, detail, round((time.monotonic() - started) * 1000))

    try:
        async with asyncio.timeout(reach.timeout_seconds):
            return result(None, await log_in(server, password, reach))
    except TimeoutError:
        return result(Code.TIMEOUT, f"no log-in within {reach.timeout_seconds:g} s")
    except CheckFailed as failure:
        return result(failure.code, failure.detail)


async def open_socket(server: MailServer, reach: Reach) -> socket.socket:
    """A connected socket to one of the host's addresses. Raises CheckFailed."""
    addresses = await _resolve(server.host, server.port)
    forbidden = refusal(addresses, server.port, reach.allowed_networks)
    if forbidden:
        raise CheckFailed(Code.CONNECTION_FAILED, forbidden)
    failures: list[Code] = []
    for address in addresses:
        try:
            return await _connect(address, server.port)
        except ConnectionRefusedError:
            failures.append(Code.CONNECTION_REFUSED)
        except OSError:
            failures.append(Code.CONNECTION_FAILED)
    code = first_of(failures)
    what = "refuses connections" if code is Code.CONNECTION_REFUSED else "cannot be reached"
    raise CheckFailed(code, f"{server.host} {what} on port {server.port}")


async def _resolve(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise CheckFailed(Code.HOST_NOT_FOUND, f"the name {host} does not resolve") from error
    return _distinct([ip_address(str(info[4][0]).partition("%")[0]) for info in found])


def _distinct(addresses: Sequence[Address]) -> list[Address]:
    return list(dict.fromkeys(addresses))


async def _connect(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection
