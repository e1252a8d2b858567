"""What the other hits of a delivery tell of one: machines follow all links at once, and hidden ones.

Pure rules over times, link ids and user agents. A scanner and a reader may both be at a mail within
seconds: what gives a machine away speaks for its own user agent, and for all only at the very moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tracker.domain.hits import HitKind

CANARY_MS = 10_000  # for the same user agent: scanners are done within seconds
MOMENT_MS = 1_000  # for any: some scanners change theirs with every request
BURST_MS = 2_000
BURST_LINKS = 3  # different links within BURST_MS: nobody reads and chooses so fast
SPAN_MS = CANARY_MS  # what is further away tells nothing

CANARY = "the hidden link was followed"
NEAR_CANARY = "a moment from following the hidden link"
BURST = "3 or more links within 2 s"


@dataclass(frozen=True, slots=True)
class Step:
    """A hit of the delivery, as far as its neighbours are concerned."""

    kind: HitKind
    at_ms: int
    link_id: str = ""
    canary: bool = False
    agent: str = ""


class Neighbours:
    """The hits of one delivery, in whatever order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._canaries = [(step.at_ms, step.agent) for step in steps if step.canary]
        clicks: dict[str, list[tuple[int, str]]] = {}
        for step in steps:
            if step.kind is HitKind.CLICKED:
                clicks.setdefault(step.agent, []).append((step.at_ms, step.link_id))
        self._bursts = {agent: list(_bursts(sorted(found))) for agent, found in clicks.items()}

    def reason(self, at_ms: int, agent: str) -> str:
        """Why a hit at this time is a machine's; "" if its neighbours say nothing."""
        for canary, whose in self._canaries:
            if abs(at_ms - canary) <= (CANARY_MS if agent == whose else MOMENT_MS):
                return NEAR_CANARY
        if any(start <= at_ms <= end for start, end in self._bursts.get(agent, ())):
            return BURST
        return ""


def _bursts(clicks: Sequence[tuple[int, str]]) -> list[tuple[int, int]]:
    """From when to when so many different links were followed, one window behind another."""
    found: list[tuple[int, int]] = []
    inside: dict[str, int] = {}
    first = 0
    for at_ms, link in clicks:
        inside[link] = inside.get(link, 0) + 1
        while at_ms - clicks[first][0] > BURST_MS:
            gone = clicks[first][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        if len(inside) >= BURST_LINKS:
            found.append((clicks[first][0], at_ms))
    return found


ALONE = Neighbours(())
