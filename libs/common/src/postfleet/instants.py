"""Times as the stores keep them: integer milliseconds since 1970 in UTC, which sort and index."""

import time
from datetime import UTC, datetime
from functools import lru_cache

_DAY_MS = 24 * 3600 * 1000


def now() -> datetime:
    return datetime.now(UTC)


def now_ms() -> int:
    return int(time.time() * 1000)


def to_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def rfc3339(milliseconds: int | None) -> str | None:
    """As every answer of the API shows it, `2026-11-21T20:57:03.000Z`; None for none (and for 0)."""
    return iso(from_ms(milliseconds)) if milliseconds else None


def day_of(milliseconds: int) -> str:
    """The UTC calendar day, `2026-11-21`."""
    return _day(milliseconds // _DAY_MS)


def month_of(milliseconds: int) -> str:
    """The UTC calendar month, `2026-11`."""
    return _day(milliseconds // _DAY_MS)[:7]


@lru_cache(maxsize=512)
def _day(number: int) -> str:
    return from_ms(number * _DAY_MS).date().isoformat()


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the form of CloudEvents' `ce-time`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
