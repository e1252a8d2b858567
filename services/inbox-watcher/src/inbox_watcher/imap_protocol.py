"""aioimaplib's protocol with every cap it lacks.

aioimaplib 2.0.3 parses recursively (3,000 lines end in a RecursionError), accepts lines and literals
of any size, and tells nobody when the connection is lost. Here responses are framed iteratively
within limits, and any trouble ends the connection and wakes whoever waits.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]
    CONNECTED,
    AioImapException,
    Command,
    IdleCommand,
    IMAP4ClientProtocol,
)

_LITERAL = re.compile(rb"\{(\d{1,20})\}$")
_TAGGED = re.compile(rb"[A-Z]{1,10}\d{1,10} (?:OK|NO|BAD)\b")
_EXISTS = re.compile(rb"\* \d{1,10} EXISTS", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)


class ImapFailure(Exception):
    """The connection is of no more use; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class ImapLimits:
    line_bytes: int = 65_536
    literal_bytes: int = 1_048_576  # above what we ever ask for
    command_bytes: int = 32 * 1_048_576  # all that answers one command
    command_lines: int = 10_000
    connect_seconds: float = 20.0
    command_seconds: float = 30.0  # from the command to its tagged reply


class Framer:
    """Cuts the byte stream into responses: a list of lines (bytes) and literals (bytearray)."""

    def __init__(self, limits: ImapLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0  # no line end before this
        self._parts: list[bytes | bytearray] = []
        self._literal: int | None = None  # bytes of a literal still to come as a whole
        self._bytes = 0
        self._lines = 0

    def reset(self) -> None:
        """A command is answered: count from zero."""
        self._bytes = self._lines = 0

    def feed(self, data: bytes) -> Iterator[list[bytes | bytearray]]:
        """Yield each response that is complete now. Raises ImapFailure beyond a limit."""
        self._buffer += data
        self._count(len(data), 0)
        while (part := self._next_part()) is not None:
            self._parts.append(part)
            if isinstance(part, bytes) and self._literal is None:
                response, self._parts = self._parts, []
                yield response

    def _next_part(self) -> bytes | bytearray | None:
        if self._literal is not None:
            if len(self._buffer) < self._literal:
                return None
            literal = self._buffer[: self._literal]
            del self._buffer[: self._literal]
            self._literal = None
            self._searched = 0
            return literal
        end = self._buffer.find(b"\r\n", self._searched)
        if end > self._limits.line_bytes or (end < 0 and self._too_long()):
            raise ImapFailure(f"a line of more than {self._limits.line_bytes} bytes")
        if end < 0:
            self._searched = max(0, len(self._buffer) - 1)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._searched = 0
        self._count(0, 1)
        self._literal = self._announced(line)
        return line

    def _too_long(self) -> bool:
        return len(self._buffer) > self._limits.line_bytes

    def _announced(self, line: bytes) -> int | None:
        if not line.endswith(b"}"):
            return None
        found = _LITERAL.search(line[-24:])
        if found is None:
            if line.rpartition(b"{")[2][:-1].isdigit():
                raise ImapFailure("a literal of an absurd size")
            return None
        size = int(found[1])
        if size > self._limits.literal_bytes:
            raise ImapFailure(f"a literal of {size} bytes, more than we asked for")
        return size

    def _count(self, size: int, lines: int) -> None:
        self._bytes += size
        self._lines += lines
        if self._bytes > self._limits.command_bytes or self._lines > self._limits.command_lines:
            raise ImapFailure("more lines or bytes than any honest answer has")


class Idle(IdleCommand):  # type: ignore[misc]
    """IDLE without the library's unbounded queue: what arrives only sets the protocol's `news`."""

    def append_to_resp(self, line: bytes, result: str = "Pending") -> None:
        if result != "Pending":
            super().append_to_resp(line, result)


class GuardedProtocol(IMAP4ClientProtocol):  # type: ignore[misc]
    """What is sent and what comes back, for one coroutine that waits at a time.

    A thousand idle mailboxes are a thousand of these: while one waits it has a future and a timer,
    and nothing of what the library keeps for uses that we do not make of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: ImapLimits) -> None:
        super().__init__(loop)
        self.idle_queue = self.state_condition = self._idle_event = None
        self.pending_sync_command: Command | None = None
        self.framer = Framer(limits)
        self.lost = ""  # why the connection is of no more use
        self.news = False  # the selected mailbox has more mail than before
        self.greeted = False
        self._following: list[Command] = []  # sent together with the one that is pending
        self._waiter: asyncio.Future[None] | None = None

    def begin(self, *commands: Command, after: str = "") -> None:
        """Send commands in one piece, after a line that ends the pending one; they are answered
        in this order (RFC 3501 §5.5)."""
        self.framer.reset()
        self._following += commands
        if self.pending_sync_command is None and self._following:
            self.pending_sync_command = self._following.pop(0)
        lines = [after, *map(str, commands)] if after else [str(command) for command in commands]
        self.transport.write("".join(f"{line}\r\n" for line in lines).encode())

    def answered(self, command: Command) -> bool:
        return command is not self.pending_sync_command and command not in self._following

    async def until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Wait for it, for the end of the connection, or so long; whether it has happened."""
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            self.wake()

        timer = self.loop.call_later(seconds, expire)
        try:
            while not (happened() or self.lost or late):
                self._waiter = self.loop.create_future()
                await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
        return happened()

    def wake(self) -> None:
        """Whoever waits looks whether it has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return
        try:
            for response in self.framer.feed(data):
                self._dispatch(response)
        except (ImapFailure, AioImapException, ValueError, LookupError) as error:
            self.fail(str(error) or type(error).__name__)
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"connection lost: {exc}" if exc else "the server closed the connection")

    def fail(self, reason: str) -> None:
        """End the connection at once and wake whoever waits for it."""
        self.lost = self.lost or reason
        if self.transport is not None:
            self.transport.abort()
        self.wake()

    def _dispatch(self, response: list[bytes | bytearray]) -> None:
        line = bytes(response[0])
        if self.state == CONNECTED and not self.greeted:
            self._greeting(line)
        elif _TAGGED.match(line):
            self._tagged(line)
        elif line.startswith(b"+"):
            self._continuation(line)
        elif line.startswith(b"* "):
            self._untagged(line, response)
        elif line:
            raise ImapFailure("the server does not speak IMAP")

    def _greeting(self, line: bytes) -> None:
        if not line.upper().startswith(b"* OK"):  # BYE; and PREAUTH, which proves nothing
            raise ImapFailure(f"not an IMAP greeting: {_shown(line)}")
        self.state = "NONAUTH"
        self.greeted = True

    def _tagged(self, line: bytes) -> None:
        command = self.pending_sync_command
        if command is not None and command.name in ("EXAMINE", "SELECT"):
            self.news = False  # this EXISTS was the folder's first; the next one is news
        self.framer.reset()
        self._response_done(line)
        if self._following:
            self.pending_sync_command = self._following.pop(0)

    def _untagged(self, line: bytes, response: list[bytes | bytearray]) -> None:
        if _EXISTS.match(line):
            self.news = True
        command = self.pending_sync_command
        if _BYE.match(line) and (command is None or command.name != "LOGOUT"):
            raise ImapFailure(f"the server said {_shown(line)}")
        if isinstance(command, Idle):
            self.framer.reset()  # an IDLE may last: its lines are no answer that grows
        elif command is not None:
            command.append_to_resp(line[2:])
            for part in response[1:]:
                command.append_to_resp(part)

    def _continuation(self, line: bytes) -> None:
        """A refused XOAUTH2 is told in a continuation that wants an empty answer."""
        command = self.pending_sync_command
        if command is not None and command.name == "AUTHENTICATE":
            self.transport.write(b"\r\n")


def _shown(line: bytes) -> str:
    return line[:120].decode("ascii", "replace")
