"""The life of an IMAP connection, and how a command is run on it: the only code that runs aioimaplib.

Every wait has a deadline and ends when the connection does. After a timeout the connection is
dropped, because aioimaplib cannot use it any more.
"""

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]
    AioImapException,
    Command,
    FetchCommand,
    Response,
    quoted,
)

from inbox_watcher.imap_protocol import GuardedProtocol, ImapFailure, ImapLimits

logging.getLogger("aioimaplib").setLevel(logging.WARNING)  # at DEBUG it can log the password

T = TypeVar("T")


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
            await connection._within(protocol.greeted.wait())
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self._protocol.fail("closed")

    async def _news_during(self, idling: "asyncio.Future[Response]", seconds: float) -> bool:
        news = asyncio.ensure_future(self._protocol.news.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {idling, news, self._protocol.lost}
            await asyncio.wait(
                waiting,
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            news.cancel()
        self._check_alive()
        if idling.done():
            raise ImapFailure(f"IDLE ended: {reason_of(await idling)}")
        return self._protocol.news.is_set()

    async def _capabilities(self) -> set[str]:
        response = await self._run(self._command("CAPABILITY"))
        words = b" ".join(map(bytes, response.lines)).decode("ascii", "replace").upper().split()
        self._protocol.capabilities = set(words)
        return set(words)

    def _command(self, name: str, *arguments: str, prefix: str | None = None) -> Command:
        try:
            return Command(name, self._protocol.new_tag(), *arguments, prefix=prefix)
        except ValueError as error:  # NUL, CR or LF
            raise LoginRefused(f"{name}: a control character cannot be sent") from error

    def _fetch(self, uids: str, what: str) -> Command:
        return FetchCommand(self._protocol.new_tag(), uids, what, prefix="UID")

    async def _run(self, command: Command, *, may_fail: bool = False) -> Response:
        self._protocol.framer.reset()
        response = await self._within(self._protocol.execute(command))
        if response.result != "OK" and not may_fail:
            raise ImapFailure(f"{command.name} refused: {reason_of(response)}")
        return response

    async def _within(self, waiting: "Coroutine[Any, Any, T] | asyncio.Future[T]") -> T:
        """Wait for it, for the deadline, or for the end of the connection."""
        task = asyncio.ensure_future(waiting)
        awaited: set[asyncio.Future[Any]] = {task, self._protocol.lost}
        try:
            await asyncio.wait(
                awaited,
                timeout=self._limits.command_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            self._check_alive()
            self._protocol.fail("timeout")
            raise ImapFailure(f"no answer in {self._limits.command_seconds:g} s")
        except AioImapException as error:
            self._protocol.fail(str(error))
            raise ImapFailure(str(error)) from error
        finally:
            task.cancel()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.wait({self._protocol.lost}, timeout=seconds)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._protocol.lost.done():
            raise ImapFailure(self._protocol.lost.result())


def quoted_string(text: str) -> str:
    return str(quoted(text))


def reason_of(response: Response) -> str:
    last = bytes(response.lines[-1]) if response.lines else b""
    return f"{response.result} {last[:200].decode('utf-8', 'replace')}".strip()
