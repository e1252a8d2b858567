"""A logged-in connection: who may use it, how long it waits, and what its end means for its mails."""

import asyncio
from functools import partial

from dispatcher.transport.commands import DATA, DOT, MAIL, QUIT, RCPT, RSET
from dispatcher.transport.deadline import Deadline, Timeouts
from dispatcher.transport.endings import fate, under_way
from dispatcher.transport.habits import Habits
from dispatcher.transport.mails import Envelope, Mail, Source
from dispatcher.transport.replies import NoReply, ReplyReader, whole_round
from dispatcher.transport.transactions import SAID_QUIT, Transactions

_QUIT_SECONDS = 2.0
_NO_MAIL = Mail(Envelope("", ""), b"")  # whose the reply to QUIT is


class Connection(Transactions, asyncio.Protocol):
    """Sends what its source gives, one transaction behind the other, until it ends or is told to."""

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        host: str,
        pipelining: bool,
        smtputf8: bool,
        eightbitmime: bool = True,
        timeouts: Timeouts,
        habits: Habits | None = None,
    ) -> None:
        habits = habits or Habits()
        deep = pipelining and not habits.one_by_one(host)
        super().__init__(
            transport, host, habits, deep=deep, smtputf8=smtputf8, eightbitmime=eightbitmime
        )
        self._timeouts = timeouts
        self._reader = ReplyReader()
        self._busy = False  # within one of the source's calls, or ours to it
        self._deadline = Deadline(timeouts, transport, self._late)
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport.set_protocol(self)
        if transport.get_extra_info("ssl_object") is None:
            # The octets go at once: the server works on them while we serve other connections.
            transport.set_write_buffer_limits(high=0)

    # -- for its owner ---------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        return not (self.lost or self._reader.partial or self._transport.is_closing())

    @property
    def idle(self) -> bool:
        return not self._expected and self._held is None

    def serve(self, source: Source) -> None:
        """Take mails from this source from now on."""
        self._source, self._give = source, partial(source.take, self)
        if self.lost:
            source.ended(self)
        else:
            self.kick()

    def kick(self) -> None:
        """There may be a mail."""
        if self.idle and not self._busy and not self.lost and self._source is not None:
            self._busy = True
            try:
                self._next()
            finally:
                self._busy = False
            self._watch()

    def resume(self, mail: Mail) -> None:
        """Its claim is decided; harmless if this mail is not the one that waits for it."""
        if mail is self._held and not self.lost:
            self._held = None
            self._content(mail)
            self._watch()

    async def quit(self) -> None:
        """QUIT politely, within two seconds; what is under way is cut off."""
        if self.idle and self.usable:
            self._command(QUIT, _NO_MAIL, b"QUIT\r\n")
            await asyncio.wait([self._gone], timeout=_QUIT_SECONDS)
        self.abort("the connection was closed")

    def abort(self, why: str = "the connection was closed") -> None:
        self._end(why)

    # -- the protocol's calls --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return
        self._busy = True
        try:
            self._hear(data)
        finally:
            self._busy = False
        if self.lost:
            return
        if not self._expected:
            self.kick()
        self._watch()

    def _hear(self, data: bytes) -> None:
        awaited = self._deep and self._round_awaited and not self._reader.partial
        if awaited and (all_well := whole_round(data)):
            self._round(all_well[1], all_well[2])
            return
        try:
            replies = self._reader.feed(data)
        except NoReply as error:
            self._break("garbage", str(error))
            return
        self._unread = len(replies)
        for code, text in replies:
            self._unread -= 1
            self._reply(code, text)
            if self.lost:
                return

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost:
            return
        if self._unproven and self.sent:
            self._habits.lost(self._host)
        self._end("the connection was lost")

    def eof_received(self) -> None:
        """The transport closes itself."""

    def pause_writing(self) -> None:
        """At most one content is in the buffer: the next is written only when its 354 has come."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # -- the end ---------------------------------------------------------------------------------

    def _late(self) -> None:
        self._break("timeout", "no reply in time")

    def _break(self, reason: str, why: str) -> None:
        if self._unproven:
            self._habits.misbehaved(self._host, reason)
        self._end(why)

    def _end(self, why: str) -> None:
        """Settle or give back what is under way; nothing more is said here."""
        if self.lost:
            return
        self.lost = True
        self._deadline.end()
        if self._deep and self.sent > 1:
            self._habits.worked(self._host)
        left = under_way(self._expected)
        if self._held is not None:
            left.setdefault(self._held, DATA)
        self._expected.clear()
        self._held = None
        # abort() would throw away what the server has not read yet, a QUIT among it.
        self._transport.close() if why == SAID_QUIT else self._transport.abort()
        if not self._gone.done():
            self._gone.set_result(None)
        if self._source is not None:
            self._tell(self._source, left, why)

    def _tell(self, source: Source, left: dict[Mail, int], why: str) -> None:
        # What cannot be pipelined has shown it on this connection: the next one is no repetition.
        distrusted = self._deep and self._habits.one_by_one(self._host)
        alone = self.taken == 1 and not distrusted
        for mail, kind in left.items():
            result = fate(mail, kind, why, heard=bool(mail.replies) or alone)
            if result is None:
                source.give_back(mail)
            else:
                source.settle(mail, result)
        source.ended(self)

    @property
    def _unproven(self) -> bool:
        """A group awaits its replies, and no group behind a final dot has been answered here yet."""
        group = bool(self._expected) and self._expected[0][0] in (RSET, MAIL, RCPT, DATA)
        return self._deep and group and self.sent < 2

    def _watch(self) -> None:
        """The deadline of what is expected next."""
        if not self._expected:
            self._deadline.nothing()
        elif self._expected[0][0] == DOT:
            self._deadline.expect(self._timeouts.final_reply)
        else:
            self._deadline.expect(self._timeouts.reply)
