"""Counters as the API and the dashboard show them: all metrics, and rates as fractions of `sent`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tracker.domain.facts import METRICS

Bucket = Literal["day", "hour"]

RATES = {
    "open_rate": "opened",
    "click_rate": "clicked",
    "reply_rate": "replied",
    "bounce_rate": "bounced_hard",
    "unsubscribe_rate": "unsubscribed",
}
_STEPS = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}


def counts(counter: Mapping[str, Any] | None) -> dict[str, int]:
    """Every metric, zero where nothing was counted."""
    return {metric: int((counter or {}).get(metric, 0)) for metric in METRICS}


def figures(counter: Mapping[str, Any] | None) -> dict[str, int | float]:
    """Counts with their rates, 0 to 1. A mail refused before it counts as sent keeps a rate at 1."""
    found = counts(counter)
    sent = found["sent"]
    rates = {
        name: round(min(1.0, found[metric] / sent), 4) if sent else 0.0
        for name, metric in RATES.items()
    }
    return {**found, **rates}


def buckets(start: datetime, end: datetime, bucket: Bucket) -> list[str]:
    """The names of the buckets from the one that holds `start` to the one that holds `end`."""
    moment = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if bucket == "day":
        moment = moment.replace(hour=0)
    names = []
    while moment <= end:
        names.append(moment.strftime(_FORMATS[bucket]))
        moment += _STEPS[bucket]
    return names


def activity(names: list[str], counters: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each bucket, quiet ones with zeros."""
    return [{"bucket": name, **counts(counters.get(name))} for name in names]


def recent(rows: list[dict[str, Any]], fewest: int) -> list[dict[str, Any]]:
    """The rows from the first one with anything in it, and the last `fewest` in any case."""
    busy = (i for i, row in enumerate(rows) if any(row[metric] for metric in METRICS))
    return rows[min(next(busy, len(rows)), max(0, len(rows) - fewest)) :]
