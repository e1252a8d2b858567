"""How many mails a sender may send today, and which rule says so.

Days and months are those of UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: (younger than, mails a day): the upper ends of the bands that providers recommend
AGE_BANDS = ((timedelta(weeks=2), 30), (timedelta(weeks=4), 80))
ESTABLISHED_CAP = 100


class Binding(StrEnum):
    """The layer that gives the smallest number; of equal ones the first here."""

    CONFIGURED = "configured"
    PROVIDER = "provider"
    AGE = "age"
    MONTHLY = "monthly"
    WARMUP = "warmup"


@dataclass(frozen=True, slots=True)
class LimitRules:
    enforce_age_ramp: bool = True


@dataclass(frozen=True, slots=True)
class Volume:
    """What is known of one sender. Counts are mails that a server accepted."""

    configured: int
    provider_maximum: int
    age: timedelta
    monthly_limit: int | None  # None: no limit
    sent_today: int
    sent_this_month: int  # today included
    warmup: int | None = None  # mails a day of the warm-up's plan; None: not warming up


@dataclass(frozen=True, slots=True)
class Allowance:
    """`effective` holds for the whole day, what was sent already included."""

    effective: int
    binding: Binding


def age_cap(age: timedelta) -> int:
    for younger_than, mails in AGE_BANDS:
        if age < younger_than:
            return mails
    return ESTABLISHED_CAP


def allowance(volume: Volume, rules: LimitRules) -> Allowance:
    """The smallest of all layers. What is left of the month is counted from this morning."""
    layers = {
        Binding.CONFIGURED: volume.configured,
        Binding.PROVIDER: volume.provider_maximum,
    }
    if rules.enforce_age_ramp:
        layers[Binding.AGE] = age_cap(volume.age)
    if volume.monthly_limit is not None:
        before_today = volume.sent_this_month - volume.sent_today
        layers[Binding.MONTHLY] = max(0, volume.monthly_limit - before_today)
    if volume.warmup is not None:
        layers[Binding.WARMUP] = volume.warmup
    binding = min(layers, key=lambda layer: layers[layer])
    return Allowance(layers[binding], binding)


def next_reset(binding: Binding, now: datetime) -> datetime:
    """When a used-up limit is free again: next midnight, or the first of the next month."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if binding is not Binding.MONTHLY:
        return midnight + timedelta(days=1)
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
