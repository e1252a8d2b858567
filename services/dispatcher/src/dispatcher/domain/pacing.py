"""How fast a destination may be mailed: halved when it throttles, recovered additively (AIMD).

A destination without a pace is free: nothing is counted for it. The first throttling makes a pace
of half of what went there; time adds to it; at the ceiling it is free again. A bucket of tokens
turns the hourly rate into how many may go now. Times are epoch milliseconds, rates mails per hour.
"""

from dataclasses import dataclass, replace

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class PaceRules:
    floor_per_hour: float = 60.0  # slower than one a minute is standing still
    ceiling_per_hour: float = 10_000.0  # at this rate the destination is free again
    step_per_hour: float = 600.0  # added in each hour without throttling
    hold_ms: int = 60_000  # replies within it tell of one congestion, and halve once
    burst_ms: int = (
        120_000  # at most what this time brings may go at once: twice the planner's look
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """`per_hour` was the rate at `since`; `tokens` were there at `counted_at`."""

    per_hour: float
    since: int
    tokens: float
    counted_at: int


def rate_at(pace: Pace, now: int, rules: PaceRules) -> float:
    """The rate, grown since the last throttling; never outside floor and ceiling."""
    grown = pace.per_hour + rules.step_per_hour * max(0, now - pace.since) / _HOUR_MS
    return min(rules.ceiling_per_hour, max(rules.floor_per_hour, grown))


def is_over(pace: Pace, now: int, rules: PaceRules) -> bool:
    return rate_at(pace, now, rules) >= rules.ceiling_per_hour


def throttled(pace: Pace | None, observed_per_hour: float, at: int, rules: PaceRules) -> Pace:
    """The pace after a throttling reply at `at`. Telling the same congestion again changes nothing.

    `observed_per_hour` is what went there lately; it counts only where there is no pace yet.
    """
    if pace is None or is_over(pace, at, rules):
        before = min(rules.ceiling_per_hour, observed_per_hour)
        return Pace(max(rules.floor_per_hour, before / 2), at, 0.0, at)
    if at < pace.since + rules.hold_ms:
        return pace
    slower = max(rules.floor_per_hour, rate_at(pace, at, rules) / 2)
    return Pace(slower, at, 0.0, max(at, pace.counted_at))


def tokens_at(pace: Pace, now: int, rules: PaceRules) -> float:
    """How much is in the bucket; it never holds more than a burst, and at least one fits."""
    elapsed = max(0, now - pace.counted_at)
    rate = rate_at(pace, now, rules)
    mean = (rate_at(pace, pace.counted_at, rules) + rate) / 2
    most = max(1.0, rate * rules.burst_ms / _HOUR_MS)
    return min(most, pace.tokens + mean * elapsed / _HOUR_MS)


def room(pace: Pace | None, now: int, rules: PaceRules) -> int | None:
    """How many may go now; None: as many as there are."""
    if pace is None or is_over(pace, now, rules):
        return None
    return int(tokens_at(pace, now, rules))


def take(pace: Pace, wanted: int, now: int, rules: PaceRules) -> tuple[int, Pace]:
    """(how many of `wanted` may go now, the pace without their tokens)."""
    there = tokens_at(pace, now, rules)
    granted = min(wanted, int(there))
    return granted, replace(pace, tokens=there - granted, counted_at=max(now, pace.counted_at))


def turn_at(pace: Pace, place: int, now: int, rules: PaceRules) -> int:
    """When the mail that is `place`-th in the queue (from 0) may go, at today's rate."""
    missing = max(0.0, place + 1 - tokens_at(pace, now, rules))
    return now + int(missing * _HOUR_MS / rate_at(pace, now, rules)) + 1
