"""A figure of the bench: a median of several rounds, as a ratio to a peer measured in the same rounds."""

import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is ours / the peer's, formed inside each round; None where there is no peer."""

    name: str
    median: float
    unit: str
    spread: str
    ratio: float | None = None
    against: str | None = None
    goal: str = ""

    @property
    def missing(self) -> bool:
        """Not measured; `spread` says why."""
        return self.unit in (_NOT_MEASURED, _BROKEN)

    @property
    def failed(self) -> bool:
        """Not measured through a fault of ours, not for want of a peer."""
        return self.unit == _BROKEN

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None where there is none that can be judged by this figure.

        A goal is `>= 1.8 x` of the peer, or `<= 12` in the figure's own unit.
        """
        found = re.match(r"(>=|<=|<|>) ([\d.]+)( x)?", self.goal)
        if not found:
            return None
        value = self.ratio if found[3] else self.median
        return None if value is None else _HOLDS[found[1]](value, float(found[2]))


_NOT_MEASURED, _BROKEN = "not measured", "failed"
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
}


def figure(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    peer: Sequence[float] = (),
    against: str | None = None,
    goal: str = "",
) -> Figure:
    """From one value a round; `peer` has the peer's value of the same rounds."""
    ratios = [ours / theirs for ours, theirs in zip(values, peer, strict=True)] if peer else []
    return Figure(
        name=name,
        median=round(statistics.median(values), 3),
        unit=unit,
        spread=f"{min(values):.4g}-{max(values):.4g}",
        ratio=round(statistics.median(ratios), 3) if ratios else None,
        against=against,
        goal=goal,
    )


def skipped(name: str, reason: str) -> Figure:
    """What could not be measured here, and why: in the report, never silently left out."""
    return Figure(name=name, median=0.0, unit=_NOT_MEASURED, spread=reason)


def broken(name: str, error: Exception) -> Figure:
    """A bench that raised: in the report, and the run as a whole has failed."""
    return Figure(name=name, median=0.0, unit=_BROKEN, spread=_first_line(error))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
