"""The demo's figures: Postfleet's beside what the simulated mail world knows.

Pure: two documents go in, rows come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

#: what people read, Postfleet's name in /analytics/overview, the sandbox's name in /summary
_ROWS = (
    ("sent", "sent", "accepted"),
    ("opened", "opened", "opened"),
    ("clicked", "clicked", "clicked"),
    ("replied", "replied", "replied"),
    ("bounced", "bounced_hard", "bounced_hard"),
    ("unsubscribed", "unsubscribed", "unsubscribed"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the summary."""

    name: str
    postfleet: int
    ledger: int

    @property
    def equal(self) -> bool:
        return self.postfleet == self.ledger


def compare(overview: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Figure]:
    """Every figure twice. Opens and clicks are those of people, not of scanners, on both sides."""
    return [
        Figure(name, int(overview.get(ours, 0)), int(summary.get(theirs, 0)))
        for name, ours, theirs in _ROWS
    ]


def progress(figures: list[Figure]) -> str:
    """One line with what Postfleet knows so far."""
    return "  ".join(f"{figure.name} {figure.postfleet}" for figure in figures)


def table(figures: list[Figure]) -> Table:
    """The summary."""
    shown = Table("", "Postfleet", "the mail world's own ledger", "", title="Demo campaign")
    for column in shown.columns[1:3]:
        column.justify = "right"
    for figure in figures:
        mark = "[green]✓[/]" if figure.equal else "[red]differs[/]"
        shown.add_row(figure.name, str(figure.postfleet), str(figure.ledger), mark)
    return shown
