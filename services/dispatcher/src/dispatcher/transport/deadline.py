"""When the server is late: one deadline and one timer for each connection, however many mails it has."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. The last reply alone may take ten minutes (RFC 5321 §4.5.3.2.6)."""

    connect: float = 30
    reply: float = 120
    final_reply: float = 600


class Deadline:
    """`late` is called once what is awaited has not come, and the server takes nothing of ours either."""

    __slots__ = ("_at", "_late", "_loop", "_timeouts", "_timer", "_transport", "_unsent")

    def __init__(
        self, timeouts: Timeouts, transport: asyncio.Transport, late: Callable[[], None]
    ) -> None:
        self._timeouts, self._transport, self._late = timeouts, transport, late
        self._loop = asyncio.get_running_loop()
        self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0  # octets in the write buffer when it was looked at

    def expect(self, seconds: float) -> None:
        """The next reply within so many seconds from now."""
        self._at = self._loop.time() + seconds
        if self._timer is None:
            self._unsent = 0
            self._timer = self._loop.call_later(self._look_again(seconds), self._look)

    def nothing(self) -> None:
        """No reply is awaited."""
        self._at = _NEVER

    def end(self) -> None:
        self._at = _NEVER
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self, seconds: float) -> float:
        """No deadline that is set meanwhile can be over before this."""
        return min(seconds, self._timeouts.reply, self._timeouts.final_reply)

    def _look(self) -> None:
        self._timer = None
        if self._at == _NEVER:
            return
        left = self._at - self._loop.time()
        unsent = self._transport.get_write_buffer_size()
        if left <= 0 and 0 < unsent < self._unsent:  # slow, but it takes what we write
            left = self._timeouts.reply
            self._at += left
        self._unsent = unsent
        if left <= 0:
            self._late()
        else:
            self._timer = self._loop.call_later(self._look_again(left), self._look)
