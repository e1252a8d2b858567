"""How long a sender pauses between two of its mails."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.domain.draws import fraction

JITTER = 0.5  # a gap is up to half longer than the minimum, never shorter


@dataclass(frozen=True, slots=True)
class Pace:
    """`last` says when each sender's latest mail went or goes.

    Mails may be given out up to `horizon_ms` ahead of now; what sends at once has a horizon of 0.
    """

    gap_ms: int = 0  # the least between two mails of one sender
    horizon_ms: int = 0
    last: Mapping[str, int] = field(default_factory=dict)


def free_at(
    sender_id: str, last: int | None, now_ms: int, gap_ms: int, spread_ms: float, seed: str
) -> int:
    """When the sender may send its next mail, now or later; nothing is saved up while it pauses.

    `spread_ms` is its share of the open time that remains today for each mail of its remaining
    capacity, 0 where mail goes as fast as it can. The jitter is the same at every asking.
    """
    if last is None or not (gap_ms or spread_ms):
        return now_ms
    if last + max(gap_ms * (1 + JITTER), spread_ms * 1.5) <= now_ms:
        return now_ms
    chance = fraction(seed, "gap", sender_id, last)
    interval = max(gap_ms * (1 + JITTER * chance), spread_ms * (0.5 + chance))
    return max(now_ms, last + int(interval))
