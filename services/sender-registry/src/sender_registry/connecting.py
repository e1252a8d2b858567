"""The way to a mail server that a caller named: resolved once, guarded, then connected to."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace

from postfleet.events.senders import MailServer
from postfleet.reachable import MAIL_PORTS, Forbidden, NameUnknown, Network, guarded_socket
from sender_registry.domain.validation import Check, CheckFailed, Code, LoggedIn, first_of

_REMEDY = "name its network in POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS if that is right"


@dataclass(frozen=True, slots=True)
class Reach:
    """What every log-in test needs: where it may go, how long it may take, whom it trusts."""

    allowed_networks: tuple[Network, ...]
    timeout_seconds: float
    tls: ssl.SSLContext
    ehlo_name: str


class _Steps:
    """How long each step of one log-in took: the last one is where it ended."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []

    def begin(self, name: str) -> None:
        self._begun.append((name, time.monotonic()))

    def taken(self) -> dict[str, int]:
        """In milliseconds, in the order of the steps; one that came twice is counted together."""
        found: dict[str, int] = {}
        ends = [at for _, at in self._begun[1:]] + [time.monotonic()]
        for (name, at), end in zip(self._begun, ends, strict=True):
            found[name] = found.get(name, 0) + round((end - at) * 1000)
        return found


_steps: ContextVar[_Steps] = ContextVar("steps")


def step(name: str) -> None:
    """A log-in test begins its next step: dns, connect, tls, greeting, auth."""
    if (steps := _steps.get(None)) is not None:
        steps.begin(name)


LogIn = Callable[[MailServer, str, Reach], Awaitable[LoggedIn]]


async def timed(log_in: LogIn, server: MailServer, password: str, reach: Reach) -> Check:
    """Run one log-in within the limit, which covers everything from the name to the answer."""
    started = time.monotonic()
    steps = _Steps()
    _steps.set(steps)

    def result(code: Code | None, detail: str) -> Check:
        taken = round((time.monotonic() - started) * 1000)
        return Check(code, detail, taken, steps=steps.taken())

    try:
        async with asyncio.timeout(reach.timeout_seconds):
            done = await log_in(server, password, reach)
    except TimeoutError:
        return result(Code.TIMEOUT, f"no log-in within {reach.timeout_seconds:g} s")
    except CheckFailed as failure:
        return result(failure.code, failure.detail)
    return replace(result(None, done.detail), certificate_until_ms=done.certificate_until_ms)


def certificate_until_ms(tls: object) -> int:
    """When the certificate of a connection's other side ends; 0 without TLS."""
    certificate = tls.getpeercert() if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
    until = (certificate or {}).get("notAfter")
    return int(ssl.cert_time_to_seconds(until) * 1000) if isinstance(until, str) else 0


async def open_socket(
    host: str, port: int, reach: Reach, ports: frozenset[int] = MAIL_PORTS
) -> socket.socket:
    """A connected socket to one of the host's addresses. Raises CheckFailed."""
    step("dns")
    try:
        return await guarded_socket(
            host, port, reach.allowed_networks, ports, lambda: step("connect")
        )
    except NameUnknown as error:
        raise CheckFailed(Code.HOST_NOT_FOUND, str(error)) from error
    except Forbidden as error:
        raise CheckFailed(Code.CONNECTION_FAILED, f"{error}; {_REMEDY}") from error
    except ExceptionGroup as failures:
        code = first_of(map(_code, failures.exceptions))
        what = "refuses connections" if code is Code.CONNECTION_REFUSED else "cannot be reached"
        raise CheckFailed(code, f"{host} {what} on port {port}") from failures


def _code(failure: Exception) -> Code:
    refused = isinstance(failure, ConnectionRefusedError)
    return Code.CONNECTION_REFUSED if refused else Code.CONNECTION_FAILED
