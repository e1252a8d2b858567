"""The report: report.json for programs, report.md for people, plots beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.machine import COMMANDS, description
from tests.bench.plots import PLOTS, draw
from tests.bench.profiling import FLAMES, TABLE

PLACE = Path("docs/benchmarks")


def write(figures: Sequence[Figure], seconds: Mapping[str, float], *, quick: bool) -> None:
    """`seconds`: how long each bench took."""
    PLACE.mkdir(parents=True, exist_ok=True)
    rows = [asdict(found) for found in figures if not found.missing]
    (PLACE / "report.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    drawn = draw(figures, PLACE)
    (PLACE / "report.md").write_text("\n".join(_lines(figures, seconds, drawn, quick)) + "\n")


def _lines(
    figures: Sequence[Figure], seconds: Mapping[str, float], drawn: Sequence[str], quick: bool
) -> list[str]:
    minutes = sum(seconds.values()) / 60
    measured = [found for found in figures if not found.missing]
    missing = [found for found in figures if found.missing]
    lines = [
        "# Figures",
        "",
        f"Made by `{'QUICK=1 ' * quick}make bench` in {minutes:.0f} minutes. Ratios are formed",
        "inside one round, in which ours and its peers run one after the other; medians over the rounds,",
        "with the smallest and the largest. Trust the ratios: the absolutes are this machine's.",
        "What takes minutes by itself is in [long.md](long.md) in its long form.",
        "",
        *description(),
        "",
        COMMANDS,
        "",
        *(f"![{PLOTS[name]}]({name}.svg)" for name in drawn),
        "",
        *table(measured),
    ]
    if missing:
        lines += ["", "## Not measured here", ""]
        lines += [f"- {found.name}: {found.spread}" for found in missing]
    lines += ["", "## Where the minutes go", "", "| bench | seconds |", "|---|---|"]
    lines += [f"| {name} | {took:.0f} |" for name, took in seconds.items()]
    if TABLE.exists():
        lines += ["", "## Where the time goes", ""]
        lines += [f"The whole picture: [{FLAMES.name}]({FLAMES.name}).", "", TABLE.read_text()]
    return lines


def table(figures: Sequence[Figure]) -> list[str]:
    """A Markdown table of what was measured."""
    return [
        "| figure | median | unit | spread | ratio | against | goal |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, _cells(found)))} |" for found in figures),
    ]


def _cells(found: Figure) -> list[object]:
    ratio = f"{found.ratio:g}" if found.ratio is not None else ""
    goal = f"{found.goal} {_MARKS[found.reached]}".strip()
    return [
        found.name,
        f"{found.median:g}",
        found.unit,
        found.spread,
        ratio,
        found.against or "",
        goal,
    ]


_MARKS = {True: "✓", False: "✗", None: ""}
