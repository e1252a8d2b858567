"""What goes over a connection, who gives it, and what may become of it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dispatcher.domain.outcomes import Phase
from postfleet.smtp import OutcomeUnknown, SmtpReply

if TYPE_CHECKING:
    from dispatcher.transport.connection import Connection


class Envelope(NamedTuple):
    reverse_path: str
    forward_path: str
    eight_bit: bool = False  # some of the content (RFC 6152)
    utf8_fields: bool = False  # some of the header (RFC 6532)

    @property
    def isascii(self) -> bool:
        paths = self.reverse_path.isascii() and self.forward_path.isascii()
        return paths and not self.utf8_fields


def envelope_for(reverse_path: str, forward_path: str, content: bytes) -> Envelope:
    """With what the content asks of the server; ours is 7-bit, what is handed in need not be."""
    if content.isascii():
        return Envelope(reverse_path, forward_path)
    header = content[: content.find(b"\r\n\r\n")]
    return Envelope(reverse_path, forward_path, eight_bit=True, utf8_fields=not header.isascii())


class Refused(Exception):
    """A negative reply, or no connection, before the final dot; `reply` is None for the latter.

    `first` is False where another mail stands for the same outage.
    """

    def __init__(
        self, phase: Phase, reply: SmtpReply | None, text: str = "", *, first: bool = True
    ) -> None:
        super().__init__(text or str(reply))
        self.phase, self.reply, self.first = phase, reply, first


class NotOurs(Exception):
    """Another worker transmits this delivery, or has: the transaction was given up before the dot."""


#: The positive reply to the final dot, or why there is none.
Result = SmtpReply | Refused | NotOurs | OutcomeUnknown


class Mail:
    """One transaction. `content` is dot-stuffed and ends with the final dot.

    `ours` says whether the attempt is written down as ours: the final dot waits while it is None.
    `tag` is the giver's own.
    """

    __slots__ = ("content", "envelope", "ours", "refusal", "replies", "tag")

    def __init__(
        self, envelope: Envelope, content: bytes, *, ours: bool | None = None, tag: Any = None
    ) -> None:
        self.envelope, self.content, self.ours, self.tag = envelope, content, ours, tag
        self.refusal: Refused | None = None  # the first one, while later replies are awaited
        self.replies = 0  # that its commands have got on the present connection


class Source(Protocol):
    """Called from within the event loop; must not call the connection back meanwhile."""

    def take(self, connection: "Connection") -> Mail | None:
        """The next mail for this connection; None for now. Call `kick` when there is one again."""

    def settle(self, mail: Mail, result: Result) -> None:
        """What became of it. Called once for each mail that was taken and not given back."""

    def give_back(self, mail: Mail) -> None:
        """The connection ended through no fault of this mail, and before its content: send it over
        another."""

    def ended(self, connection: "Connection") -> None:
        """The connection takes no more; called once, after its mails were settled."""


class _Listed:
    """Mails that nobody else sends, and the place for what becomes of them."""

    def __init__(self, mails: Iterable[Mail]) -> None:
        self.left = deque(mails)
        self.results: dict[Mail, Result] = {}
        self.missing = len(self.left)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, connection: "Connection") -> Mail | None:
        return self.left.popleft() if self.left else None

    def settle(self, mail: Mail, result: Result) -> None:
        self.results[mail] = result
        if len(self.results) == self.missing:
            self._end()

    def give_back(self, mail: Mail) -> None:
        self.left.appendleft(mail)

    def ended(self, connection: "Connection") -> None:
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def send_all(
    connection: "Connection", mails: Iterable[tuple[Envelope, bytes]]
) -> list[Result | None]:
    """Without a ledger: send these over one connection; for each the result, in order.

    None for those that the connection ended before.
    """
    made = [Mail(envelope, content, ours=True) for envelope, content in mails]
    source = _Listed(made)
    connection.serve(source)
    if made:
        await source.done
    return [source.results.get(mail) for mail in made]
