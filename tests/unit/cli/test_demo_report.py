"""The demo's summary tells the truth about both sides."""

from io import StringIO

from rich.console import Console

from postfleet_cli.demo_report import compare, progress, table

_OVERVIEW = {
    "sent": 330,
    "opened": 100,
    "clicked": 30,
    "replied": 14,
    "bounced_hard": 6,
    "bounced_soft": 4,
    "unsubscribed": 5,
}
_SUMMARY = {
    "accepted": 330,
    "opened": 100,
    "clicked": 29,
    "replied": 14,
    "bounced_hard": 6,
    "scanner_opens": 50,
    "unsubscribed": 5,
}


def test_every_figure_stands_beside_the_ledgers() -> None:
    figures = compare(_OVERVIEW, _SUMMARY)
    assert [(f.name, f.postfleet, f.ledger) for f in figures] == [
        ("sent", 330, 330),
        ("opened", 100, 100),
        ("clicked", 30, 29),
        ("replied", 14, 14),
        ("bounced", 6, 6),
        ("unsubscribed", 5, 5),
    ]
    assert [f.name for f in figures if not f.equal] == ["clicked"]


def test_the_table_marks_what_is_equal_and_what_is_not() -> None:
    printed = StringIO()
    Console(file=printed, width=100).print(table(compare(_OVERVIEW, _SUMMARY)))
    rows = [line for line in printed.getvalue().splitlines() if "│" in line]
    assert sum("✓" in row for row in rows) == 5
    assert ["differs" in row for row in rows if "clicked" in row] == [True]


def test_progress_is_one_line() -> None:
    assert progress(compare({}, {})) == (
        "sent 0  opened 0  clicked 0  replied 0  bounced 0  unsubscribed 0"
    )
