"""What is simulated: how many senders and leads, for how long, and what goes wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime

SCENARIOS = ("greylisting", "throttling", "late-dsn", "out-of-office", "credential-expiry")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
START_MS = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp()) * 1000  # a Monday


@dataclass(frozen=True, slots=True)
class Options:
    """The same options give the same result, to the byte."""

    senders: int = 500
    leads: int = 200_000
    days: int = 30
    seed: int = 1
    scenarios: frozenset[str] = frozenset(SCENARIOS)
    gap_ms: int = 30_000  # between two mails of one sender
    campaigns: int = 10

    @property
    def end_ms(self) -> int:
        return START_MS + self.days * DAY_MS


def scenarios(text: str) -> frozenset[str]:
    """From a list with commas. Raises ValueError that names what is unknown."""
    wanted = frozenset(name.strip() for name in text.split(",") if name.strip())
    unknown = sorted(wanted - set(SCENARIOS))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return wanted
