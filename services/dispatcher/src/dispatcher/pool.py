"""Connections of one sender: opened when there is work, kept while there is more, closed when idle.

Mails come from feeds, urgent ones first, and are taken only a little ahead of the connections: their
claims are written in groups while earlier mails travel. How many that is, `LookAhead` decides.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dispatcher.connection_pause import Pause
from dispatcher.domain.connection_limits import fewer_connections
from dispatcher.domain.outcomes import Phase
from dispatcher.feed import TOO_LATE, CannotConnect, Feed
from dispatcher.look_ahead import LookAhead
from dispatcher.transport import Connection, Mail, NotOurs, Refused, Result
from postfleet.smtp import SmtpFailure, SmtpReply, TransientFailure

_IDLE_SECONDS = 10.0
_STOPPED = "the worker was stopped"

Opener = Callable[[], Awaitable[Connection]]
Claimer = Callable[[Sequence[Mail]], Awaitable[Sequence[bool]]]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`look_ahead`: mails per connection whose attempts are begun before their turn, at most. After
    a crash of ours these are in doubt, although they were never written to a server."""

    connections: int
    mails_per_connection: int
    look_ahead: int = 32


class SenderPool:
    """At most `limits.connections` at a time, each for so many mails."""

    def __init__(self, open_connection: Opener, limits: PoolLimits, claim: Claimer) -> None:
        self._open, self._limits, self._claim = open_connection, limits, claim
        self._look_ahead = LookAhead(limits.look_ahead)
        self._feeds: tuple[deque[Feed], deque[Feed]] = (deque(), deque())
        self._ahead: tuple[deque[Mail], deque[Mail]] = (deque(), deque())
        self._owners: dict[Mail, Feed] = {}  # taken, and not settled
        self._at: dict[Mail, Connection] = {}
        self._connections: dict[Connection, float] = {}  # -> idle since, 0: busy
        self._opening = 0
        self._most = limits.connections
        self._enough = 0
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause = Pause()
        self._lost = False  # a connection, and nothing has gone well since
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.last_used = time.monotonic()

    @property
    def idle(self) -> bool:
        busy = self._connections or self._tasks or self._goodbyes or self._owners
        return not busy and not any(self._feeds)

    def feed(self, feed: Feed) -> None:
        """Send these, after what is there already."""
        self.last_used = time.monotonic()
        if self._closed:
            feed.refuse(Refused(Phase.CONNECT, None, _STOPPED))
        elif self._connections or not self._pause.holds:
            self._feeds[0 if feed.urgent else 1].append(feed)
            self._dispatch()
        else:
            failure = TransientFailure("waiting after a failed connection")
            feed.refuse(CannotConnect(failure, first=False))

    async def close(self) -> None:
        """End the connections; what is queued still is told so."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # nothing is opened from now on
        for connection in list(self._connections):
            self._retire(connection)
        while self._goodbyes:
            await asyncio.wait(self._goodbyes)
        self._refuse_all(Refused(Phase.CONNECT, None, _STOPPED))

    # -- for the connections ---------------------------------------------------------------------

    def take(self, connection: Connection) -> Mail | None:
        mail = self._next() if self._may_take(connection) else None
        if mail is None:
            if connection.idle:
                self._rest(connection)
            return None
        self._connections[connection] = 0.0
        if mail.ours is None:
            self._at[mail] = connection
        return mail

    def _may_take(self, connection: Connection) -> bool:
        return not self._closed and connection.taken < self._limits.mails_per_connection

    def settle(self, mail: Mail, result: Result | CannotConnect) -> None:
        self._look_ahead.sent()
        if mail.ours is None:
            self._at.pop(mail, None)
        self._owners.pop(mail).settle(mail, self._of_one_outage(result))

    def _of_one_outage(self, result: Result | CannotConnect) -> Result | CannotConnect:
        """Of the mails whose connections are lost together, one stands for the outage."""
        if isinstance(result, Refused) and result.reply is None:
            first, self._lost = not self._lost, True
            return Refused(result.phase, None, str(result), first=first)
        if isinstance(result, SmtpReply):
            self._lost = False
        return result

    def give_back(self, mail: Mail) -> None:
        self._at.pop(mail, None)
        self._ahead[0 if self._owners[mail].urgent else 1].appendleft(mail)

    def ended(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._dispatch_soon()

    # -- work for connections --------------------------------------------------------------------

    def _next(self) -> Mail | None:
        """The next mail, its claim at least asked for."""
        for ahead, feeds in zip(self._ahead, self._feeds, strict=True):
            while ahead or feeds:
                self._fill_up(ahead, feeds)
                if not ahead:
                    break
                mail = ahead.popleft()
                if mail.ours is False:
                    self.settle(mail, NotOurs())
                elif self._owners[mail].over:
                    self.settle(mail, CannotConnect(TransientFailure(TOO_LATE), first=False))
                else:
                    return mail
        return None

    def _fill_up(self, ahead: deque[Mail], feeds: deque[Feed]) -> None:
        if not feeds or len(ahead) > self._enough:  # claims go in groups, not one by one
            return
        connections = len(self._connections) or 1
        wanted = self._look_ahead.per_connection(connections) * connections
        self._enough = wanted // 2
        taken: list[Mail] = []
        while feeds and len(ahead) + len(taken) < wanted:
            mail = feeds[0].take()
            if mail is None:
                feeds.popleft()
                continue
            self._owners[mail] = feeds[0]
            taken.append(mail)
        ahead.extend(taken)
        unclaimed = [mail for mail in taken if mail.ours is None]
        if unclaimed:
            self._spawn(self._claim_group(unclaimed))

    async def _claim_group(self, mails: Sequence[Mail]) -> None:
        """Until it can be said whose they are, their final dots wait."""
        started = time.monotonic()
        ours = await self._claim(mails)
        self._look_ahead.committed(time.monotonic() - started)
        for mail, answer in zip(mails, ours, strict=True):
            mail.ours = answer
            connection = self._at.pop(mail, None)
            if connection is not None:
                connection.resume(mail)

    # -- connections for work --------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give what waits to those that are free; open as many more as there is work for."""
        if self._closed:
            return
        for connection in list(self._connections):
            if not self._waiting:
                return
            if connection.idle:
                connection.kick()
        if self._waiting and self._pause.holds:
            self._dispatch_after_pause()
        room = self._most - len(self._connections) - self._opening
        for _ in range(min(room, self._demand() - self._opening)):
            self._opening += 1
            self._spawn(self._open_one())

    @property
    def _waiting(self) -> bool:
        return any(self._ahead) or any(self._feeds)

    def _demand(self) -> int:
        """How many connections the mails that wait could use."""
        if self._pause.holds:
            return 0
        waiting = sum(map(len, self._ahead))
        for feeds in self._feeds:
            for feed in feeds:
                waiting += feed.left
                if waiting >= self._limits.connections:
                    return waiting
        return waiting

    def _dispatch_after_pause(self) -> None:
        if self._retry is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(self._pause.left + 0.001, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._retry = None
        self._dispatch()

    def _dispatch_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._dispatch)

    async def _open_one(self) -> None:
        try:
            connection = await self._open()
        except Exception as error:
            self._opening -= 1
            reply = error.reply if isinstance(error, SmtpFailure) else None
            fewer = fewer_connections(len(self._connections) + self._opening, reply)
            if fewer is None:
                self._failed(error)
            else:
                self._most = fewer  # until this pool is idle, and forgotten
            return
        except BaseException:  # cancelled
            self._opening -= 1
            raise
        self._opening -= 1
        self._pause.reset()
        self._lost = False
        self._connections[connection] = 0.0
        connection.serve(self)

    def _failed(self, error: Exception) -> None:
        """Wait before the next try. With other connections at work that is all; else all are told.

        Only a failure of the server counts as one of the sender; a missing password does not.
        """
        fresh = self._pause.begin()
        if not self._connections:
            # What is claimed already waits for a few tries more: else one failure would look like many.
            kept = self._put_by() if self._pause.patient else ((), ())
            self._refuse_all(
                CannotConnect(error, first=False),
                first=CannotConnect(error, first=isinstance(error, SmtpFailure) and fresh),
            )
            for ahead, mails in zip(self._ahead, kept, strict=True):
                ahead.extend(mails)
        self._dispatch_after_pause()

    def _put_by(self) -> tuple[Sequence[Mail], ...]:
        kept = tuple([mail for mail in ahead if mail.ours] for ahead in self._ahead)
        for ahead, mails in zip(self._ahead, kept, strict=True):
            for mail in mails:
                ahead.remove(mail)
        return kept

    def _refuse_all(self, why: CannotConnect | Refused, first: CannotConnect | None = None) -> None:
        for ahead, feeds in zip(self._ahead, self._feeds, strict=True):
            while first is not None and feeds and not any(self._ahead):
                mail = feeds[0].take()
                if mail is None:
                    feeds.popleft()
                    continue
                self._owners[mail] = feeds[0]
                ahead.append(mail)
            while ahead:
                self.settle(ahead.popleft(), first or why)
                first = None
            while feeds:
                feeds.popleft().refuse(why)

    # -- rest ------------------------------------------------------------------------------------

    def _rest(self, connection: Connection) -> None:
        """It has nothing to do: used up, or idle from now on."""
        if connection not in self._connections:
            return
        if connection.taken >= self._limits.mails_per_connection:
            self._retire(connection)
            return
        self._connections[connection] = time.monotonic()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_IDLE_SECONDS, self._look_for_idle)

    def _retire(self, connection: Connection) -> None:
        del self._connections[connection]
        goodbye = asyncio.ensure_future(_goodbye(connection))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
        if not self._closed:
            self._dispatch_soon()  # the next is opened while this one says goodbye

    def _look_for_idle(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        for connection, since in list(self._connections.items()):
            if not connection.idle:
                continue
            if since and now - since >= _IDLE_SECONDS:
                self._retire(connection)
            elif not since:
                self._connections[connection] = now
        if self._connections:
            self._timer = loop.call_later(_IDLE_SECONDS / 2, self._look_for_idle)

    def _spawn(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _goodbye(connection: Connection) -> None:
    with contextlib.suppress(OSError):
        await connection.quit()
