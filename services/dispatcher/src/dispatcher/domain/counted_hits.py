"""What counts of a delivery's opens and clicks: the tracker numbers its counts, and may take one back.

The events of one delivery may come in any order and more than once. Each says that the count of a number
holds, or holds no more; what is said of the highest number, taking back after counting, is how it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from postfleet.events.tracking import EmailClicked, HitEvent, Verdict, VerdictChanged
from postfleet.instants import to_ms

Kind = Literal["opened", "clicked"]


@dataclass(frozen=True, slots=True)
class Standing:
    """`at` in epoch ms, 0 if nothing counts. The one of the higher `rank` holds."""

    rank: int
    at: int

    @classmethod
    def counted(cls, number: int, at: int) -> "Standing":
        return cls(2 * number, at)

    @classmethod
    def taken_back(cls, number: int) -> "Standing":
        return cls(2 * number + 1, 0)


def standings(event: HitEvent | VerdictChanged) -> Iterator[tuple[Kind, Standing]]:
    """What the event says; nothing for a machine's hit, and for one that is not the first."""
    if isinstance(event, VerdictChanged):
        if event.uncounted:
            yield event.hit_kind, Standing.taken_back(event.uncounted)
        if event.counted and event.counted_at:
            yield event.hit_kind, Standing.counted(event.counted, to_ms(event.counted_at))
    elif event.first and event.verdict is Verdict.HUMAN:
        kind: Kind = "clicked" if isinstance(event, EmailClicked) else "opened"
        yield kind, Standing.counted(event.count, to_ms(event.occurred_at))
