"""When a schedule is open: the interval now or next, and how much of a day remains."""

from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dispatcher.domain.campaigns import Schedule, open_at
from dispatcher.domain.planning import DAY_MS, FOREVER
from postfleet.instants import from_ms, to_ms

_DAYS_AHEAD = 16  # a weekly window may fall into the hour that a change of the clock leaves out
MOST_AHEAD = timedelta(days=731)  # of a start


def opening(schedule: Schedule, now_ms: int) -> tuple[int, int] | None:
    """(opens, closes) in epoch milliseconds: the interval that holds now, else the next one.

    An open interval starts now. None: it does not open within the two weeks after its start.
    """
    start = max(now_ms, to_ms(schedule.start_at) if schedule.start_at else now_ms)
    if not schedule.windows and not schedule.days:
        return start, FOREVER
    edges = _edges(schedule, start)
    opens = next((at for at in (start, *edges) if _open(schedule, at)), None)
    if opens is None:
        return None
    closes = next((at for at in edges if at > opens and not _open(schedule, at)), FOREVER)
    return opens, closes


def open_ms(schedule: Schedule, now_ms: int, until_ms: int) -> int:
    """For how many milliseconds it is open from now until then."""
    total, at = 0, now_ms
    while at < until_ms and (found := opening(schedule, at)) is not None:
        opens, closes = found
        total += max(0, min(closes, until_ms) - min(opens, until_ms))
        at = closes
    return total


def spread_ms(schedule: Schedule, now_ms: int) -> int:
    """The open time that is left of the UTC day, if mail is spread over it; else 0."""
    if not schedule.spread:
        return 0
    return max(1, open_ms(schedule, now_ms, (now_ms // DAY_MS + 1) * DAY_MS))


def in_zone(schedule: Schedule, zone: str) -> Schedule:
    """The same hours and days, read off another clock."""
    return replace(schedule, timezone=zone)


def _open(schedule: Schedule, at_ms: int) -> bool:
    return open_at(schedule, from_ms(at_ms))


def _edges(schedule: Schedule, after_ms: int) -> tuple[int, ...]:
    """Where a window starts or ends after this moment, in order."""
    day = from_ms(after_ms).astimezone(ZoneInfo(schedule.timezone)).date().toordinal()
    found = _edges_from(schedule.timezone, schedule.windows, day - 1)
    return found[bisect_right(found, after_ms) :]


@lru_cache(maxsize=4096)
def _edges_from(zone: str, windows: tuple[tuple[time, time], ...], day: int) -> tuple[int, ...]:
    """All of two weeks from a local day on."""
    clocks = {clock for window in windows for clock in window} | {time.min}
    found = (
        datetime.combine(date.fromordinal(day + offset), clock, ZoneInfo(zone))
        for offset in range(_DAYS_AHEAD)
        for clock in clocks
    )
    return tuple(sorted(to_ms(one.astimezone(UTC)) for one in found))
