"""A logged-in connection and its transactions: commands out, replies matched to them in order.

The protocol is driven by what arrives. `_expected` holds what each reply to come belongs to; a mail
is in one of three places: its envelope is out, it is held (354 has come, the claim has not), or its
final dot is out.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from dispatcher.domain.outcomes import Phase
from dispatcher.transport.habits import Habits
from dispatcher.transport.mails import Envelope, Mail, NotOurs, Refused, Source
from dispatcher.transport.replies import NoReply, ReplyReader
from postfleet.failpoints import reach
from postfleet.smtp import OutcomeUnknown, SmtpReply

_RSET, _MAIL, _RCPT, _DATA, _DOT, _NOBODY, _QUIT = range(7)
_PHASES = {_MAIL: Phase.MAIL, _RCPT: Phase.RCPT, _DATA: Phase.DATA, _DOT: Phase.FINAL}
_NEVER = float("inf")
_COPY_OCTETS = 16 * 1024  # up to here content and envelope are joined, above written one by one
_OUT_OF_STEP = (500, 503)  # a server that has lost its place in the group
_QUIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. The last reply alone may take ten minutes (RFC 5321 §4.5.3.2.6)."""

    connect: float = 30
    reply: float = 120
    final_reply: float = 600


class Connection(asyncio.Protocol):
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
        self._transport, self._timeouts = transport, timeouts
        self._host, self._habits = host, habits or Habits()
        self._deep = pipelining and not self._habits.one_by_one(host)
        self._smtputf8, self._eightbitmime = smtputf8, eightbitmime
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._source: Source | None = None
        self._expected: deque[tuple[int, Mail | None]] = deque()
        self._held: Mail | None = None
        self._dirty = False  # a refused transaction is still open on the server
        self._busy = False  # within one of the source's calls, or ours to it
        self._unread = 0  # replies that have come and are not handled yet
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0  # octets in the write buffer when the deadline was looked at
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.lost = False
        self.taken = 0  # mails
        self.sent = 0  # final dots that got a reply
        transport.set_protocol(self)

    # -- for its owner ---------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        return not self.lost and not self._transport.is_closing() and not self._reader.partial

    @property
    def idle(self) -> bool:
        return not self._expected and self._held is None

    def serve(self, source: Source) -> None:
        """Take mails from this source from now on."""
        self._source = source
        if self.lost:
            source.ended(self)
        else:
            self.kick()

    def kick(self) -> None:
        """There may be a mail."""
        if self.idle and not self._busy and not self.lost and self._source is not None:
            self._busy = True
            try:
                self._next(self._source)
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
            self._expected.append((_QUIT, None))
            self._transport.write(b"QUIT\r\n")
            await asyncio.wait([self._gone], timeout=_QUIT_SECONDS)
        self.abort("the connection was closed")

    def abort(self, why: str = "the connection was closed") -> None:
        self._end(why)

    # -- the protocol's calls --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return None
        try:
            replies = self._reader.feed(data)
        except NoReply as error:
            return self._break("garbage", str(error))
        self._busy = True
        self._unread = len(replies)
        try:
            for code, text in replies:
                self._unread -= 1
                self._reply(code, text)
                if self.lost:
                    return None
        finally:
            self._busy = False
        self.kick()
        return self._watch()

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

    # -- commands --------------------------------------------------------------------------------

    def _next(self, source: Source) -> None:
        """Begin with the next mail, if there is one."""
        mail = self._take(source)
        if mail is not None:
            self._transport.write(self._envelope(mail))

    def _take(self, source: Source) -> Mail | None:
        while (mail := source.take(self)) is not None:
            self.taken += 1
            mail.refusal, mail.replies = None, 0
            reply = self._missing(mail.envelope)
            if reply is None:
                return mail
            source.settle(mail, Refused(Phase.RCPT, reply))
        return None

    def _missing(self, envelope: Envelope) -> SmtpReply | None:
        """What the server would have to offer for this mail, and does not."""
        if not self._smtputf8 and not envelope.isascii:
            return SmtpReply(553, "5.6.7 the server does not offer SMTPUTF8 (RFC 6531)")
        if not self._eightbitmime and envelope.eight_bit:
            return SmtpReply(554, "5.6.3 the server does not offer 8BITMIME (RFC 6152)")
        return None

    def _envelope(self, mail: Mail) -> bytes:
        """What opens its transaction: the whole group, or the first command."""
        expected = self._expected
        reset = b""
        if self._dirty:  # else Exim counts the errors, and hangs up
            self._dirty = False
            expected.append((_RSET, mail))
            if not self._deep:
                return b"RSET\r\n"
            reset = b"RSET\r\n"
        expected.append((_MAIL, mail))
        if not self._deep:
            return _mail(mail)
        expected.append((_RCPT, mail))
        expected.append((_DATA, mail))
        return b"%b%b%bDATA\r\n" % (reset, _mail(mail), _rcpt(mail))

    def _content(self, mail: Mail) -> None:
        """Its final dot, with the next envelope behind it; unless something has come in between."""
        if not mail.ours:
            self._outcome(mail, NotOurs())
            return self._end("a transaction was given up")
        if self._unread or not self.usable:
            self._held = mail
            return self._end("the connection was lost before the content")
        self._expected.append((_DOT, mail))
        content = mail.content
        behind = self._take(self._source) if self._deep and self._source else None
        if behind is None:
            self._transport.write(content)
        elif len(content) <= _COPY_OCTETS:
            self._transport.write(content + self._envelope(behind))
        else:
            self._transport.writelines((content, self._envelope(behind)))
        return reach("after-dot")

    # -- replies ---------------------------------------------------------------------------------

    def _reply(self, code: int, text: bytes) -> None:
        if not self._expected:
            return self._end(f"unasked, the server said {code} {_text(text)}")
        kind, mail = self._expected.popleft()
        if kind == _DOT:
            return self._final(mail, code, text)
        if code == 421 and kind != _QUIT:
            return self._closing(kind, mail, text)
        if kind == _DATA:
            return self._data(mail, code, text)
        if kind in (_MAIL, _RCPT):
            return self._path(kind, mail, code, text)
        return self._other(kind, mail)

    def _path(self, kind: int, mail: Mail | None, code: int, text: bytes) -> None:
        assert mail is not None
        mail.replies += 1
        if not 200 <= code < 300:
            self._refuse(kind, mail, code, text)
        if self._deep or self.lost:
            return
        if mail.refusal is not None:
            self._dirty = True
            self._outcome(mail, mail.refusal)
        elif kind == _MAIL:
            self._command(_RCPT, mail, _rcpt(mail))
        else:
            self._command(_DATA, mail, b"DATA\r\n")

    def _command(self, kind: int, mail: Mail, line: bytes) -> None:
        self._expected.append((kind, mail))
        self._transport.write(line)

    def _data(self, mail: Mail | None, code: int, text: bytes) -> None:
        assert mail is not None
        mail.replies += 1
        if code != 354:
            if mail.refusal is None:
                self._refuse(_DATA, mail, code, text)
            if not self.lost and mail.refusal is not None:
                self._dirty = True
                self._outcome(mail, mail.refusal)
        elif mail.refusal is not None:
            # Content is awaited although nobody is left to get it (RFC 2920 §3.1).
            self._command(_NOBODY, mail, b".\r\n")
        elif mail.ours is None:
            self._held = mail
        else:
            self._content(mail)

    def _final(self, mail: Mail | None, code: int, text: bytes) -> None:
        assert mail is not None
        reply = SmtpReply(code, _text(text))
        if 200 <= code < 300:
            self.sent += 1
            self._outcome(mail, reply)
        elif 400 <= code < 600:
            self.sent += 1
            self._outcome(mail, Refused(Phase.FINAL, reply))
            if code == 421:
                self._end("the server is closing")
        else:
            why = f"a reply to the final dot that means nothing: {reply}"
            self._outcome(mail, OutcomeUnknown(why))
            self._end(why)

    def _other(self, kind: int, mail: Mail | None) -> None:
        if kind == _NOBODY and mail is not None and mail.refusal is not None:
            self._dirty = True
            self._outcome(mail, mail.refusal)
        elif kind == _RSET and mail is not None and not self._deep:
            self._command(_MAIL, mail, _mail(mail))
        elif kind == _QUIT:
            self._end("QUIT")

    def _refuse(self, kind: int, mail: Mail, code: int, text: bytes) -> None:
        """Remember the first refusal; a server that has lost its place is no judge of a mail."""
        if mail.refusal is not None:
            return None
        refusal = Refused(_PHASES[kind], SmtpReply(code, _text(text)))
        said = text.lower()
        confused = code < 400 or code in _OUT_OF_STEP or b"synchroni" in said or b"pipelin" in said
        if self._deep and confused:
            self._habits.misbehaved(self._host, "sequence")
            mail.replies = 0
            self._expected.appendleft((kind, mail))
            return self._end(str(refusal))
        mail.refusal = refusal
        return None

    def _closing(self, kind: int, mail: Mail | None, text: bytes) -> None:
        """421: it says goodbye. To whom: to this mail only if it has been heard, or is the first."""
        if mail is not None and (mail.replies or self.taken == 1) and mail.refusal is None:
            reply = SmtpReply(421, _text(text))
            mail.refusal = Refused(_PHASES.get(kind, Phase.MAIL), reply)
        self._expected.appendleft((kind, mail))
        self._end(f"421 {_text(text)}")

    def _outcome(self, mail: Mail, result: SmtpReply | Refused | NotOurs | OutcomeUnknown) -> None:
        if self._source is not None:
            self._source.settle(mail, result)

    # -- the end ---------------------------------------------------------------------------------

    def _break(self, reason: str, why: str) -> None:
        if self._unproven:
            self._habits.misbehaved(self._host, reason)
        self._end(why)

    def _end(self, why: str) -> None:
        """Settle or give back what is under way; nothing more is said here."""
        if self.lost:
            return
        self.lost = True
        self._deadline = _NEVER
        if self._timer is not None:
            self._timer.cancel()
        if self._deep and self.sent > 1:
            self._habits.worked(self._host)
        left: dict[Mail, int] = {}
        for kind, mail in self._expected:
            if mail is not None:
                left.setdefault(mail, kind)
        if self._held is not None:
            left.setdefault(self._held, _DATA)
        self._expected.clear()
        self._held = None
        # abort() would throw away what the server has not read yet, a QUIT among it.
        self._transport.close() if why == "QUIT" else self._transport.abort()
        self._tell(left, why)

    def _tell(self, left: dict[Mail, int], why: str) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
        source = self._source
        if source is None:
            return
        first = self.taken == 1
        for mail, kind in left.items():
            if kind == _DOT:
                source.settle(mail, OutcomeUnknown(f"after the final dot: {why}"))
            elif mail.refusal is not None:  # what the server said before counts
                source.settle(mail, mail.refusal)
            elif mail.replies or (first and not self._distrusted):
                phase = _PHASES.get(kind, Phase.MAIL)
                source.settle(mail, Refused(phase, None, f"{phase}: {why}"))
            else:
                source.give_back(mail)
        source.ended(self)

    @property
    def _unproven(self) -> bool:
        """A group awaits its replies, and no group behind a final dot has been answered here yet."""
        group = bool(self._expected) and self._expected[0][0] in (_RSET, _MAIL, _RCPT, _DATA)
        return self._deep and group and self.sent < 2

    @property
    def _distrusted(self) -> bool:
        """This connection has shown that it cannot be pipelined: the next one is no repetition."""
        return self._deep and self._habits.one_by_one(self._host)

    # -- time ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """One deadline for what is expected next, and one timer that looks at it."""
        if not self._expected:
            self._deadline = _NEVER
            return
        final = self._expected[0][0] == _DOT
        seconds = self._timeouts.final_reply if final else self._timeouts.reply
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._unsent = 0
            self._timer = self._loop.call_later(self._look_again(seconds), self._look)

    def _look_again(self, seconds: float) -> float:
        """No deadline that is set meanwhile can be over before this."""
        return min(seconds, self._timeouts.reply, self._timeouts.final_reply)

    def _look(self) -> None:
        self._timer = None
        if self._deadline == _NEVER or self.lost:
            return None
        left = self._deadline - self._loop.time()
        unsent = self._transport.get_write_buffer_size()
        if left <= 0 and 0 < unsent < self._unsent:  # slow, but it takes what we write
            left = self._timeouts.reply
            self._deadline += left
        self._unsent = unsent
        if left <= 0:
            return self._break("timeout", "no reply in time")
        self._timer = self._loop.call_later(self._look_again(left), self._look)
        return None


def _mail(mail: Mail) -> bytes:
    body = " BODY=8BITMIME" if mail.envelope.eight_bit else ""
    utf8 = "" if mail.envelope.isascii else " SMTPUTF8"
    return f"MAIL FROM:<{mail.envelope.reverse_path}>{body}{utf8}\r\n".encode()


def _rcpt(mail: Mail) -> bytes:
    return f"RCPT TO:<{mail.envelope.forward_path}>\r\n".encode()


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")
