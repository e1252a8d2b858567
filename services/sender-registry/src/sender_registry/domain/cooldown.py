"""A pause of 30 minutes after three errors in a row, so that nobody hammers a broken connection."""

from dataclasses import dataclass
from datetime import timedelta

ERRORS_IN_A_ROW = 3
PAUSE = timedelta(minutes=30)
_PAUSE_MS = PAUSE // timedelta(milliseconds=1)

#: whose fault counts: an unknown recipient says nothing about the sender's connection
COUNTED_FAULTS = frozenset({"sender", "connection"})


@dataclass(frozen=True, slots=True)
class Streak:
    """`until_ms` is the end of the pause in epoch milliseconds, 0 while there is none."""

    errors: int = 0
    until_ms: int = 0


def after_error(streak: Streak, at_ms: int, now_ms: int) -> Streak:
    """The third error starts a pause; errors of mails in flight during one do not prolong it.

    An error that is told so late that its pause would be over starts none.
    """
    if streak.until_ms > at_ms:
        return streak
    errors = streak.errors + 1
    if errors < ERRORS_IN_A_ROW:
        return Streak(errors, streak.until_ms)
    until_ms = at_ms + _PAUSE_MS
    return Streak(0, until_ms if until_ms > now_ms else streak.until_ms)


def after_success(streak: Streak) -> Streak:
    return Streak(0, streak.until_ms)


def after_time(streak: Streak, now_ms: int) -> Streak:
    """The same, without a pause that is over.

    What follows is a probe (half open): one more error starts the next pause, a success ends it all.
    """
    return Streak(ERRORS_IN_A_ROW - 1, 0) if 0 < streak.until_ms <= now_ms else streak
