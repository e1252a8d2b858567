"""The plots of the report, PNG and SVG: who sends how fast, at what cost, and over a distance."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from tests.bench.figures import Figure

_OURS, _THEIRS = "#1f6f54", "#9aa5b1"

PLOTS = {
    "wire-rate": "Mails a second into one smtp-sink, beside smtp-source",
    "wire-cpu": "Client CPU a mail",
    "queue-to-wire": "Mails a second from a JetStream queue into one smtp-sink",
    "round-trip": "Mails a second over a round trip of 20 ms",
    "end-to-end": "A campaign from HTTP to email.sent, and its peers",
}


def draw(figures: Sequence[Figure], place: Path) -> list[str]:
    """The names of the plots that there were figures for."""
    drawn = []
    for name, (prefixes, wanted, unit) in _CONTENTS.items():
        rows = [
            (_label(found.name, prefixes), found)
            for found in figures
            if found.name.startswith(prefixes) and found.unit == unit and wanted(found)
        ]
        if rows:
            _bars(rows, PLOTS[name], unit, place / name)
            drawn.append(name)
    return drawn


def _all(found: Figure) -> bool:
    return True


_CONTENTS: dict[str, tuple[tuple[str, ...], Callable[[Figure], bool], str]] = {
    "wire-rate": (("2 KB: ",), _all, "mails/s"),
    "wire-cpu": (("2 KB: ",), _all, "µs/mail"),
    "queue-to-wire": (("queue to wire: ",), lambda f: "beside" not in f.name, "mails/s"),
    "round-trip": (("20 ms, STARTTLS, AUTH: ",), lambda f: "beside" not in f.name, "mails/s"),
    "end-to-end": (("end to end", "ten subscribers"), lambda f: "Postal" not in f.name, "mails/s"),
}


def _label(name: str, prefixes: Sequence[str]) -> str:
    for prefix in prefixes:
        if prefix.endswith(": "):
            name = name.removeprefix(prefix)
    return name.removesuffix(", client CPU")


def _bars(rows: Sequence[tuple[str, Figure]], title: str, unit: str, file: Path) -> None:
    """One bar a client with its spread; a logarithmic axis, as they lie a hundredfold apart."""
    figure, axes = pyplot.subplots(figsize=(9, 0.7 + 0.42 * len(rows)))
    values = [found.median for _, found in rows]
    low, high = zip(*(_spread(found) for _, found in rows), strict=True)
    errors = [
        [max(0.0, value - least) for value, least in zip(values, low, strict=True)],
        [max(0.0, most - value) for value, most in zip(values, high, strict=True)],
    ]
    colours = [_OURS if _is_ours(label) else _THEIRS for label, _ in rows]
    places: Any = range(len(rows))
    axes.barh(places, values, xerr=errors, color=colours, error_kw={"elinewidth": 1, "alpha": 0.6})
    axes.set_yticks(places, [label for label, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.set_title(title)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f" {value:,.0f}", (value, place), va="center", fontsize=8)
    axes.margins(x=0.15)
    figure.tight_layout()
    for suffix in ("png", "svg"):
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(file.with_suffix(f".{suffix}"), dpi=120, metadata=metadata)
    pyplot.close(figure)


def _spread(found: Figure) -> tuple[float, float]:
    least, _, most = found.spread.partition("-")
    try:
        return float(least), float(most)
    except ValueError:
        return found.median, found.median


def _is_ours(label: str) -> bool:
    return label.startswith(("ours", "end to end", "ten subscribers"))
