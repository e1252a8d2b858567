"""Points in time as operators type them: `2026-11-21T15:00:00Z`, or `2h` for two hours ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9})([smhdw])")
_HELP = "A time such as 2026-11-21T15:00:00Z, or so long ago: 90s, 30m, 2h, 7d, 4w."

Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help=f"From then on. {_HELP}")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Up to then. {_HELP}")]


def instant(text: str, now: datetime) -> datetime:
    """The time that is meant, in UTC. Raises BadParameter, which names both forms."""
    if match := _AGO.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            raise typer.BadParameter(f"{text!r} is before the year 1") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2026-11-21T15:00:00Z, or 2h for two hours ago"
        ) from None
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text!r} names no zone: add Z for UTC, or +02:00")
    return found.astimezone(UTC)


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Both ends. Raises BadParameter for a period that ends before it begins."""
    now = datetime.now(UTC)
    first = instant(since, now) if since else None
    last = instant(until, now) if until else None
    if first and last and last <= first:
        raise typer.BadParameter("--until is not after --since")
    return first, last


def instant_to_come(text: str, now: datetime) -> datetime:
    """As `instant`, but `2h` is in two hours."""
    return now + (now - instant(text, now)) if _AGO.fullmatch(text) else instant(text, now)
