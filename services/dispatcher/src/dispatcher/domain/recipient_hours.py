"""The recipient's hours: a campaign's windows read off the clock of the lead's own time zone."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dispatcher.domain.campaigns import Schedule
from dispatcher.domain.openings import in_zone, opening
from dispatcher.domain.planning import FOREVER

FIELD = "timezone"  # of a lead: an IANA name such as America/New_York


class RecipientHours:
    """For one campaign at one moment; each zone is looked up once."""

    def __init__(self, schedule: Schedule, now_ms: int) -> None:
        self._schedule, self._now = schedule, now_ms
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, fields: Mapping[str, str]) -> tuple[int, int]:
        """(opens, closes); a lead without a known zone has the campaign's clock."""
        zone = fields.get(FIELD, "").strip() or self._schedule.timezone
        if zone not in self._known:
            read = in_zone(self._schedule, zone if known_zone(zone) else self._schedule.timezone)
            self._known[zone] = opening(read, self._now) or (FOREVER, FOREVER)
        return self._known[zone]


def known_zone(name: str) -> bool:
    """Whether this is a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
