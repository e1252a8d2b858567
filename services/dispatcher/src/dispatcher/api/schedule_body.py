"""The schedule as callers send it: a window that never opens is refused here."""

import re
from datetime import datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BeforeValidator, Field, field_validator

from dispatcher.domain.campaigns import Schedule
from dispatcher.domain.openings import MOST_AHEAD
from postfleet.http import Strict
from postfleet.instants import now

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_MIDNIGHT = "24:00"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _day(value: object) -> object:
    """The number of a day's name, or of its first three letters; all else as it is."""
    name = value.strip().lower() if isinstance(value, str) else ""
    found = [number for number, day in enumerate(_DAYS) if name in (day, day[:3])]
    return found[0] if found else value


def _pair(value: object) -> object:
    """The pair that `09:00-17:00` or `{"start": …, "end": …}` means; all else as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split("-")]
    if isinstance(value, dict) and set(value) == {"start", "end"}:
        return [value["start"], value["end"]]
    return value


Day = Annotated[int, Field(ge=0, le=6), BeforeValidator(_day)]
Pair = Annotated[list[str], BeforeValidator(_pair)]


class ScheduleBody(Strict):
    """No `windows` means the whole day, no `days` every day; a day is 0 (Monday) to 6, or its name."""

    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    days: list[Day] = Field(default_factory=list)
    windows: list[Pair] = Field(default_factory=list, max_length=20)
    start_at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    spread: bool = False
    recipient_hours: bool = False

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"no time zone {value!r}; use an IANA name such as Europe/Paris"
            ) from error
        return value

    @field_validator("windows")
    @classmethod
    def _windows(cls, value: list[list[str]]) -> list[list[str]]:
        for pair in value:
            _window(pair)
        return value

    @field_validator("start_at")
    @classmethod
    def _comes(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > now() + MOST_AHEAD:
            raise ValueError("it would not open for more than two years; check the year")
        return value

    def domain(self) -> Schedule:
        windows = tuple(_window(pair) for pair in self.windows)
        return Schedule(
            timezone=self.timezone,
            days=tuple(sorted(set(self.days))),
            windows=windows,
            start_at=self.start_at,
            spread=self.spread,
            recipient_hours=self.recipient_hours,
        )


def _window(pair: list[str]) -> tuple[time, time]:
    if len(pair) != 2:
        raise ValueError('a window is a pair such as ["09:00", "17:00"]')
    start, end = pair
    if not _CLOCK.fullmatch(start) or not (_CLOCK.fullmatch(end) or end == _MIDNIGHT):
        raise ValueError(
            f'{start[:40]!r} to {end[:40]!r}: write times as "HH:MM", 00:00 to 23:59; an end may be 24:00'
        )
    if start == end:
        raise ValueError(
            f"{start} to {end} never opens: it ends where it starts. Leave windows out to send "
            "at any time; an end before the start means overnight"
        )
    return time.fromisoformat(start), time.min if end == _MIDNIGHT else time.fromisoformat(end)
