"""A figure of the bench: a median of several rounds, as a ratio to a peer measured in the same rounds."""

import statistics
from collections.abc import Sequence
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
    return Figure(name=name, median=0.0, unit="not measured", spread=reason)
