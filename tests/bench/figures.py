"""A figure of the bench: a median of several rounds, as a ratio to a peer measured in the same rounds."""

import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is ours / the peer's, formed inside each round; None where there is no peer.

    `goal` is `>= 1.8 x` the peer's value, or `<= 12 µs/mail`; without a peer `<= 12` says enough.
    Of two, `< 400 MiB, <= 1.25 x`, both must hold.
    """

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
        """Whether all that the goal asks for is; None where there is none."""
        if not self.goal:
            return None
        judged = {part: _holds(self, part) for part in self.goal.split(", ")}  # every one, always
        return all(judged.values())

    def __post_init__(self) -> None:
        """Raises ValueError for a goal that nobody could miss, because nobody could judge it."""
        if not self.missing:
            _ = self.reached


_NOT_MEASURED, _BROKEN = "not measured", "failed"
_GOAL = re.compile(r"(>=|<=|<|>) (\d+(?:\.\d+)?)(?: (\S.*))?")
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
}


def _holds(found: Figure, goal: str) -> bool:
    parts = _GOAL.fullmatch(goal)
    if not parts:
        raise ValueError(f"{found.name}: nobody can judge the goal {goal!r}")
    compare, limit, of = _COMPARED[parts[1]], float(parts[2]), parts[3]
    if of == "x":
        if found.ratio is None:
            raise ValueError(f"{found.name}: {goal!r} needs a peer")
        return compare(found.ratio, limit)
    if of not in (None, found.unit) or (of is None and found.ratio is not None):
        raise ValueError(f"{found.name}: does {goal!r} mean {found.unit}, or x {found.against}?")
    return compare(found.median, limit)


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
