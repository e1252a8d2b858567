"""The table that chaos leaves behind: docs/chaos/report.json and report.md."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.accounting import Result

Row = dict[str, object]

_REPORT = Path("docs/chaos")
_SUMS = (
    "accepted",
    "lost",
    "duplicated",
    "unexplained",
    "unknown",
    "events_missing",
    "events_doubled",
)
#: The stage's campaigns hold what is in doubt, so that a second acceptance is never right.
_MUST_BE_ZERO = ("lost", "duplicated", "unexplained", "events_missing", "events_doubled")
_INTRODUCTION = """# What a crash costs

Made by `make chaos` with seed {seed}. A run is a campaign of up to 1,000 mails with one fault in it.
`duplicated` are second acceptances by the mail world; `unexplained` those of deliveries that
were never in doubt (RFC 1047). `unknown` deliveries were in doubt and settled by evidence.

"""


def row_of(fault: str, results: Sequence[Result], broken: str) -> Row:
    """`broken` is what was found beside the figures; it is in the row only then."""
    row: Row = {"fault": fault, "runs": len(results)}
    row |= {name: sum(getattr(result, name) for result in results) for name in _SUMS}
    row["recover_seconds_max"] = max((result.recover_seconds for result in results), default=0.0)
    return row | ({"broken": broken} if broken else {})


def bad(row: Row) -> bool:
    return "broken" in row or any(row[name] for name in _MUST_BE_ZERO)


def line(row: Row) -> str:
    return "  ".join(f"{name} {value}" for name, value in row.items())


def write(new: Sequence[Row], faults: Sequence[str], seed: int) -> None:
    """Rows of these faults, in their order; one that was not played now keeps the row it had."""
    _REPORT.mkdir(parents=True, exist_ok=True)
    kept = _REPORT / "report.json"
    found = {row["fault"]: row for row in (json.loads(kept.read_text()) if kept.exists() else [])}
    found |= {row["fault"]: row for row in new}
    rows = [found[fault] for fault in faults if fault in found]
    kept.write_text(json.dumps(rows, indent=1) + "\n")
    header = list(dict.fromkeys(name for row in rows for name in row))
    table = [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(str(row.get(name, '')) for name in header)} |" for row in rows),
    ]
    text = _INTRODUCTION.format(seed=seed) + "\n".join(table) + "\n"
    (_REPORT / "report.md").write_text(text)
