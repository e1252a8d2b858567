"""Which of a step's variants has won: a pure function of counts of people.

The best variant must beat every other one in a two-proportion z-test with pooled variance (NIST/
SEMATECH e-Handbook of Statistical Methods §7.3.3; Fleiss, Levin & Paik, Statistical Methods for
Rates and Proportions, 3rd ed., §3.2). Who looks at a running experiment again and again finds a
"winner" by luck, so there are few looks: the first when each variant has its minimum sample, then
each time the smallest sample has doubled. Look k may err with half the probability of look k-1, and
the share of each of n variants is a nth of that (the union bound): all looks together err at most
with probability 1 - confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import sqrt
from statistics import NormalDist

_LEAST_EXPECTED = 5  # below it the normal approximation says nothing (Fleiss et al. §2.2)


class Metric(StrEnum):
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"


@dataclass(frozen=True, slots=True)
class WinnerRule:
    """`minimum_sample` is in accepted mails a variant; a mail counts once it is `after` old."""

    metric: Metric
    minimum_sample: int = 100
    after: timedelta = timedelta(hours=4)
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Count:
    """One variant: its mails that are old enough, and how many of them had the metric."""

    variant: str
    sample: int
    hits: int

    @property
    def rate(self) -> float:
        return self.hits / self.sample


@dataclass(frozen=True, slots=True)
class Choice:
    """What the last look came to; once `variant` is set it is final. `at` in epoch ms."""

    look: int
    variant: str = ""
    reason: str = ""
    at: int = 0


def due_look(counts: Sequence[Count], rule: WinnerRule) -> int:
    """The number of the look that these samples allow, from 1; 0 is none yet."""
    smallest = min(count.sample for count in counts)
    return (smallest // rule.minimum_sample).bit_length()


def judge(counts: Sequence[Count], rule: WinnerRule, looked: int, at: int) -> Choice | None:
    """What the next look comes to; None while it is not due. `looked` is the last look's number."""
    look = due_look(counts, rule) if len(counts) > 1 else 0
    if look <= looked:
        return None
    best = max(counts, key=lambda count: (count.rate, count.variant))
    others = [count for count in counts if count is not best]
    level = (1 - rule.confidence) / 2**look / len(counts)
    chances = [chance_of_luck(best, other) for other in others]
    if max(chances) > level:
        return Choice(look, reason=f"look {look}: no variant is better beyond doubt", at=at)
    rates = ", ".join(f"{c.variant} {c.hits}/{c.sample}" for c in sorted(counts, key=_name))
    return Choice(look, best.variant, f"look {look}: {rule.metric} {rates}", at)


def _name(count: Count) -> str:
    return count.variant


def chance_of_luck(best: Count, other: Count) -> float:
    """The probability of such a lead, or a larger one, between equal variants; one-sided."""
    pooled = (best.hits + other.hits) / (best.sample + other.sample)
    smaller = min(best.sample, other.sample)
    if smaller * min(pooled, 1 - pooled) < _LEAST_EXPECTED:
        return 1.0
    error = sqrt(pooled * (1 - pooled) * (1 / best.sample + 1 / other.sample))
    return 1 - NormalDist().cdf((best.rate - other.rate) / error)
