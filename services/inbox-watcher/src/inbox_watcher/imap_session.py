"""The life of an IMAP connection, and how a command is run on it: the only code that runs aioimaplib.

Every wait has a deadline and ends when the connection does. After a timeout the connection is
dropped, because aioimaplib cannot use it any more.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]
    Command,
    FetchCommand,
    Response,
    quoted,
)

from inbox_watcher.imap_protocol import GuardedProtocol, ImapFailure, ImapLimits
from postfleet import tracing

logging.getLogger("aioimaplib").setLevel(logging.WARNING)  # at DEBUG it can log the password

#: What we ask for where it is offered; a thousand connections need not remember the rest.
_WANTED = frozenset(
    ("AUTH=PLAIN", "AUTH=XOAUTH2", "IDLE", "LOGINDISABLED", "MOVE", "SASL-IR", "UIDPLUS")
)


class LoginRefused(Exception):
    """The server does not accept the credentials (or we do not accept its way to ask)."""


@dataclass(frozen=True, slots=True)
class Server:
    """`context` is None only where the operator allowed a connection without TLS."""

    host: str
    port: int
    context: ssl.SSLContext | None


class ImapSession:
    """One command at a time; `connect`, then `close` in any case."""

    def __init__(
        self, protocol: GuardedProtocol, transport: asyncio.BaseTransport, limits: ImapLimits
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._limits = limits
        self.can_idle = False

    @classmethod
    async def connect(cls, server: Server, limits: ImapLimits) -> Self:
        """TLS from the first byte, certificate checked. Raises ImapFailure."""
        loop = asyncio.get_running_loop()
        protocol = GuardedProtocol(loop, limits)
        options: dict[str, Any] = {}
        if server.context is not None:
            options = {"ssl": server.context, "ssl_handshake_timeout": limits.connect_seconds}
        try:
            async with asyncio.timeout(limits.connect_seconds):
                transport, _ = await loop.create_connection(
                    lambda: protocol, server.host, server.port, **options
                )
        except (OSError, TimeoutError) as error:
            raise ImapFailure(f"cannot connect: {str(error) or 'no answer'}") from error
        connection = cls(protocol, transport, limits)
        try:
            await connection._within(lambda: protocol.greeted)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self._protocol.fail("closed")

    async def _capabilities(self) -> frozenset[str]:
        response = await self._run(self._command("CAPABILITY"))
        words = b" ".join(map(bytes, response.lines)).decode("ascii", "replace").upper().split()
        offered = _WANTED.intersection(words)
        self._protocol.capabilities = offered
        return offered

    def _command(self, name: str, *arguments: str, prefix: str | None = None) -> Command:
        try:
            return Command(name, self._protocol.new_tag(), *arguments, prefix=prefix)
        except ValueError as error:  # NUL, CR or LF
            raise LoginRefused(f"{name}: a control character cannot be sent") from error

    def _fetch(self, uids: str, what: str) -> Command:
        return FetchCommand(self._protocol.new_tag(), uids, what, prefix="UID")

    async def _run(self, command: Command, *, may_fail: bool = False) -> Response:
        with tracing.span(f"IMAP {command.name}", kind="client") as on:
            (response,) = await self._run_all([command])
            on.set_attribute("imap.result", response.result)
        if response.result != "OK" and not may_fail:
            raise ImapFailure(f"{command.name} refused: {reason_of(response)}")
        return response

    async def _run_all(self, commands: Sequence[Command]) -> list[Response]:
        """Send them in one piece; what was answered to each. Without spans: looks are no news."""
        self._check_alive()
        if commands:
            self._protocol.begin(*commands)
        for command in commands:
            await self._within(partial(self._protocol.answered, command))
        return [command.response for command in commands]

    async def _within(self, happened: Callable[[], bool]) -> None:
        """Wait for it, for the deadline, or for the end of the connection."""
        seconds = self._limits.command_seconds
        try:
            if await self._protocol.until(happened, seconds):
                return
        except asyncio.CancelledError:
            self._protocol.fail("given up")  # its answer would be taken for the next one's
            raise
        self._check_alive()
        self._protocol.fail("timeout")
        raise ImapFailure(f"no answer in {seconds:g} s")

    async def _sleep(self, seconds: float) -> None:
        await self._protocol.until(_never, seconds)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._protocol.lost:
            raise ImapFailure(self._protocol.lost)


def _never() -> bool:
    return False


def quoted_string(text: str) -> str:
    return str(quoted(text))


def reason_of(response: Response) -> str:
    last = bytes(response.lines[-1]) if response.lines else b""
    return f"{response.result} {last[:200].decode('utf-8', 'replace')}".strip()
