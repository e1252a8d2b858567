"""Connections of one sender: opened when there is work, kept while there is more, closed when idle."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dispatcher.domain.outcomes import Phase
from dispatcher.transport import Connection, Envelope, Refused
from postfleet.smtp import (
    OutcomeUnknown,
    PermanentFailure,
    SmtpFailure,
    SmtpReply,
    TransientFailure,
)

_IDLE_SECONDS = 10.0
_STOPPED = "the worker was stopped"
_BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0)

Opener = Callable[[], Awaitable[Connection]]


class CannotConnect(Exception):
    """No session could be had. `first` is True for the one mail that stands for the failure."""

    def __init__(self, cause: Exception, *, first: bool) -> None:
        super().__init__(str(cause))
        self.reply = cause.reply if isinstance(cause, SmtpFailure) else None
        self.phase = Phase.AUTH if isinstance(cause, PermanentFailure) else Phase.CONNECT
        self.first = first


@dataclass(slots=True)
class _Mail:
    envelope: Envelope
    content: bytes
    begin: Callable[[], Awaitable[bool]]
    done: asyncio.Future[SmtpReply]


class SenderPool:
    """At most `connections` at a time, each for at most `mails_per_connection` mails."""

    def __init__(
        self, open_connection: Opener, connections: int, mails_per_connection: int
    ) -> None:
        self._open = open_connection
        self._connections = connections
        self._mails_per_connection = mails_per_connection
        self._queue: asyncio.Queue[_Mail] = asyncio.Queue()
        self._workers: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._blocked_until = 0.0
        self.last_used = time.monotonic()

    @property
    def idle(self) -> bool:
        return not self._workers and self._queue.empty()

    async def send(
        self, envelope: Envelope, content: bytes, begin: Callable[[], Awaitable[bool]]
    ) -> SmtpReply:
        """Raises what Connection.send raises, and CannotConnect."""
        if time.monotonic() < self._blocked_until:
            raise CannotConnect(TransientFailure("waiting after a failed connection"), first=False)
        done: asyncio.Future[SmtpReply] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Mail(envelope, content, begin, done))
        self.last_used = time.monotonic()
        if len(self._workers) < min(self._connections, self._queue.qsize() + len(self._workers)):
            task = asyncio.create_task(self._work())
            self._workers.add(task)
        return await done

    async def close(self) -> None:
        """End the connections; what is queued still is told so."""
        for task in list(self._workers):
            task.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        while not self._queue.empty():
            _fail(self._queue.get_nowait(), Refused(Phase.CONNECT, None, _STOPPED))

    async def _work(self) -> None:
        connection: Connection | None = None
        try:
            while True:
                try:
                    async with asyncio.timeout(_IDLE_SECONDS):
                        mail = await self._queue.get()
                except TimeoutError:
                    if self._queue.empty():
                        return
                    continue
                connection = await self._usable(connection, mail)
                if connection is None:
                    return
                await self._transact(connection, mail)
        finally:
            # Before any await: a mail queued from now on must get a worker of its own.
            task = asyncio.current_task()
            assert task is not None
            self._workers.discard(task)
            if connection is not None:
                with contextlib.suppress(Exception):
                    await connection.quit()

    async def _usable(self, connection: Connection | None, mail: _Mail) -> Connection | None:
        """A connection for this mail; None after a failure, of which all that wait are told."""
        if connection and connection.usable and connection.sent < self._mails_per_connection:
            return connection
        try:
            if connection is not None:
                await connection.quit()
            fresh = await self._open()
        except Exception as error:
            self._block(error, mail)
            return None
        except BaseException:  # cancelled
            _fail(mail, Refused(Phase.CONNECT, None, _STOPPED))
            raise
        self._failures = 0
        return fresh

    def _block(self, error: Exception, mail: _Mail) -> None:
        """Only a failure of the server counts as one of the sender; a missing password does not."""
        pause = _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        first = isinstance(error, SmtpFailure) and time.monotonic() >= self._blocked_until
        self._failures += 1
        self._blocked_until = time.monotonic() + pause
        _fail(mail, CannotConnect(error, first=first))
        while not self._queue.empty():
            _fail(self._queue.get_nowait(), CannotConnect(error, first=False))

    async def _transact(self, connection: Connection, mail: _Mail) -> None:
        try:
            reply = await connection.send(mail.envelope, mail.content, mail.begin)
        except Exception as error:
            _fail(mail, error)
        except BaseException:  # cancelled: the caller must not wait for ever
            in_doubt = connection.in_doubt
            _fail(
                mail, OutcomeUnknown(_STOPPED) if in_doubt else Refused(Phase.DATA, None, _STOPPED)
            )
            connection.abort()
            raise
        else:
            if not mail.done.done():
                mail.done.set_result(reply)


def _fail(mail: _Mail, error: BaseException) -> None:
    if not mail.done.done():
        mail.done.set_exception(error)
