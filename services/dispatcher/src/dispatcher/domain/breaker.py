"""A sender's circuit breaker: whoever cannot connect, log in or agree on TLS is left alone for a while.

Closed: mail goes. Open: none does, until the pause is over. Half open: one probe goes; its success
closes the breaker, its failure opens it for twice as long.

It is not the registry's cooldown (three errors of any kind, 30 minutes, known to everybody by an
event): it acts at once, in the dispatcher, on the ways to the server only, and lets one mail find
out whether a way is open again where a cooldown's end lets a whole batch run into it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from dispatcher.domain.outcomes import Phase


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    failures: int = 3  # in a row
    pause_ms: int = 60_000  # doubles with each failed probe
    longest_pause_ms: int = 30 * 60_000
    probe_ms: int = (
        15 * 60_000
    )  # a probe without a result is given up: a final reply may take 10 minutes


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row; `pauses` in a row; closed while `open_until` is 0. Times in epoch ms."""

    failures: int = 0
    pauses: int = 0
    open_until: int = 0
    probe_until: int = 0
    reason: str = ""


CLOSED = Breaker()
_WAYS = frozenset({"auth", "connection", "dns", "encryption", "protocol"})


def concerns(category: str, phase: str) -> bool:
    """Whether a refusal is about the way to the server, not about a mail."""
    return category in _WAYS or phase in (Phase.CONNECT, Phase.AUTH)


def state(breaker: Breaker, now: int) -> State:
    if not breaker.open_until:
        return State.CLOSED
    return State.OPEN if now < breaker.open_until else State.HALF_OPEN


def after_failure(breaker: Breaker, at: int, rules: BreakerRules, reason: str = "") -> Breaker:
    """Failures of mails that were under way when the breaker opened change nothing."""
    now = state(breaker, at)
    if now is State.OPEN:
        return breaker
    failures = breaker.failures + 1
    if now is State.CLOSED and failures < rules.failures:
        return replace(breaker, failures=failures, reason=reason)
    pause = min(rules.longest_pause_ms, rules.pause_ms * 2 ** min(breaker.pauses, 30))
    return Breaker(failures, breaker.pauses + 1, at + pause, 0, reason)


def after_success(breaker: Breaker) -> Breaker:
    return CLOSED


def try_now(breaker: Breaker, wanted: int, now: int, rules: BreakerRules) -> tuple[int, Breaker]:
    """(how many of `wanted` may be tried, the breaker after it): all, none, or the one probe."""
    current = state(breaker, now)
    if current is State.CLOSED or not wanted:
        return wanted, breaker
    if current is State.OPEN or now < breaker.probe_until:
        return 0, breaker
    return 1, replace(breaker, probe_until=now + rules.probe_ms)


def untried(breaker: Breaker) -> Breaker:
    """The probe did not go after all (no quota, a pool that still waits): the next one may."""
    return replace(breaker, probe_until=0)


def look_again_at(breaker: Breaker, now: int) -> int:
    """When somebody who may not try is to ask again."""
    return max(breaker.open_until, now + 5_000)
