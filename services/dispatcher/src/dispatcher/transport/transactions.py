"""The transactions of a connection: commands out, replies matched to them in order.

Driven by what arrives. `_expected` holds what each reply to come belongs to; a mail is in one of three
places: its envelope is out, it is held (354 has come, the claim has not), or its final dot is out.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from dispatcher.domain.outcomes import Phase
from dispatcher.transport import commands
from dispatcher.transport.commands import DATA, DOT, MAIL, NOBODY, PHASES, QUIT, RCPT, RSET
from dispatcher.transport.endings import Expected
from dispatcher.transport.habits import Habits
from dispatcher.transport.mails import Envelope, Mail, NotOurs, Refused, Result, Source
from dispatcher.transport.replies import text_of
from postfleet.failpoints import reach
from postfleet.smtp import OutcomeUnknown, SmtpReply

SAID_QUIT = "QUIT"
_COPY_OCTETS = 16 * 1024  # up to here content and envelope are joined, above written one by one
_OUT_OF_STEP = (500, 503)  # a server that has lost its place in the group
_PATHS = (MAIL, RCPT)


class Transactions(ABC):
    """`deep`: groups, with the next envelope behind the final dot; else one command at a time."""

    def __init__(
        self,
        transport: asyncio.Transport,
        host: str,
        habits: Habits,
        *,
        deep: bool,
        smtputf8: bool,
        eightbitmime: bool,
    ) -> None:
        self._transport, self._host, self._habits = transport, host, habits
        self._deep, self._smtputf8, self._eightbitmime = deep, smtputf8, eightbitmime
        self._takes_all = smtputf8 and eightbitmime
        self._source: Source | None = None
        self._give: Callable[[], Mail | None] = _nothing  # the source's next mail
        self._expected: deque[Expected] = deque()
        self._held: Mail | None = None
        self._dirty = False  # a refused transaction is still open on the server
        self._unread = 0  # replies that have come and are not handled yet
        self.lost = False
        self.taken = 0  # mails
        self.sent = 0  # final dots that got a reply

    @property
    @abstractmethod
    def usable(self) -> bool:
        """Content may be written: neither an end nor a part of a reply has come."""

    @abstractmethod
    def _end(self, why: str) -> None:
        """The connection is over; what is under way is settled or given back."""

    # -- commands --------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin with the next mail, if there is one."""
        mail = self._take()
        if mail is not None:
            self._transport.write(self._envelope(mail))

    def _take(self) -> Mail | None:
        while (mail := self._give()) is not None:
            self.taken += 1
            mail.refusal, mail.replies = None, 0
            if self._takes_all or (reply := self._missing(mail.envelope)) is None:
                return mail
            self._outcome(mail, Refused(Phase.RCPT, reply))
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
        reset = self._dirty  # else Exim counts the errors, and hangs up
        if reset:
            self._dirty = False
            expected.append((RSET, mail))
            if not self._deep:
                return b"RSET\r\n"
        expected.append((MAIL, mail))
        if not self._deep:
            return commands.mail(mail.envelope)
        expected += ((RCPT, mail), (DATA, mail))
        group = commands.group(mail.envelope)
        return b"RSET\r\n" + group if reset else group

    def _content(self, mail: Mail) -> None:
        """Its final dot, with the next envelope behind it; unless something has come in between."""
        if not mail.ours:
            self._outcome(mail, NotOurs())
            return self._end("a transaction was given up")
        if self._unread or not self.usable:
            self._held = mail
            return self._end("the connection was lost before the content")
        self._expected.append((DOT, mail))
        content = mail.content
        behind = self._take() if self._deep else None
        if behind is None:
            self._transport.write(content)
        elif len(content) <= _COPY_OCTETS:
            self._transport.write(content + self._envelope(behind))
        else:
            self._transport.writelines((content, self._envelope(behind)))
        return reach("after-dot")

    def _command(self, kind: int, mail: Mail, line: bytes) -> None:
        self._expected.append((kind, mail))
        self._transport.write(line)

    # -- replies ---------------------------------------------------------------------------------

    @property
    def _round_awaited(self) -> bool:
        """The replies to a final dot and to the three commands of the next group, no more."""
        return len(self._expected) == 4 and self._expected[0][0] == DOT

    def _round(self, final: bytes, text: bytes) -> None:
        """As it goes nearly always: yes to the dot, and to the whole group behind it."""
        _, mail = self._expected.popleft()
        self.sent += 1
        self._outcome(mail, SmtpReply(int(final), text_of(text)))
        if not self.lost:
            _, behind = self._expected[0]
            self._expected.clear()
            behind.replies = 3
            self._go_ahead(behind)

    def _reply(self, code: int, text: bytes) -> None:
        if not self._expected:
            return self._end(f"unasked, the server said {code} {text_of(text)}")
        kind, mail = self._expected.popleft()
        if kind in _PATHS and self._deep and 200 <= code < 300:  # nearly always
            mail.replies += 1
            return None
        if kind == DOT:
            return self._final(mail, code, text)
        if code == 421 and kind != QUIT:
            return self._closing(kind, mail, text)
        if kind == DATA:
            return self._data(mail, code, text)
        if kind in _PATHS:
            return self._path(kind, mail, code, text)
        return self._other(kind, mail)

    def _path(self, kind: int, mail: Mail, code: int, text: bytes) -> None:
        mail.replies += 1
        if not 200 <= code < 300:
            self._refuse(kind, mail, code, text)
        if self._deep or self.lost:
            return
        if mail.refusal is not None:
            self._dirty = True
            self._outcome(mail, mail.refusal)
        elif kind == MAIL:
            self._command(RCPT, mail, commands.rcpt(mail.envelope))
        else:
            self._command(DATA, mail, b"DATA\r\n")

    def _data(self, mail: Mail, code: int, text: bytes) -> None:
        mail.replies += 1
        if code != 354:
            if mail.refusal is None:
                self._refuse(DATA, mail, code, text)
            if not self.lost and mail.refusal is not None:
                self._dirty = True
                self._outcome(mail, mail.refusal)
        elif mail.refusal is not None:
            # Content is awaited although nobody is left to get it (RFC 2920 §3.1).
            self._command(NOBODY, mail, b".\r\n")
        else:
            self._go_ahead(mail)

    def _go_ahead(self, mail: Mail) -> None:
        """354 has come: the content may go, once the claim is decided."""
        if mail.ours is None:
            self._held = mail
        else:
            self._content(mail)

    def _final(self, mail: Mail, code: int, text: bytes) -> None:
        reply = SmtpReply(code, text_of(text))
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

    def _other(self, kind: int, mail: Mail) -> None:
        if kind == NOBODY and mail.refusal is not None:
            self._dirty = True
            self._outcome(mail, mail.refusal)
        elif kind == RSET and not self._deep:
            self._command(MAIL, mail, commands.mail(mail.envelope))
        elif kind == QUIT:
            self._end(SAID_QUIT)

    def _refuse(self, kind: int, mail: Mail, code: int, text: bytes) -> None:
        """Remember the first refusal; a server that has lost its place is no judge of a mail."""
        if mail.refusal is not None:
            return None
        refusal = Refused(PHASES[kind], SmtpReply(code, text_of(text)))
        said = text.lower()
        confused = code < 400 or code in _OUT_OF_STEP or b"synchroni" in said or b"pipelin" in said
        if self._deep and confused:
            self._habits.misbehaved(self._host, "sequence")
            mail.replies = 0
            self._expected.appendleft((kind, mail))
            return self._end(str(refusal))
        mail.refusal = refusal
        return None

    def _closing(self, kind: int, mail: Mail, text: bytes) -> None:
        """421: it says goodbye. To whom: to this mail only if it has been heard, or is the first."""
        if (mail.replies or self.taken == 1) and mail.refusal is None:
            reply = SmtpReply(421, text_of(text))
            mail.refusal = Refused(PHASES.get(kind, Phase.MAIL), reply)
        self._expected.appendleft((kind, mail))
        self._end(f"421 {text_of(text)}")

    def _outcome(self, mail: Mail, result: Result) -> None:
        if self._source is not None:
            self._source.settle(mail, result)


def _nothing() -> None:
    return None
