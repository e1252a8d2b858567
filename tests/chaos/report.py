"""The table that chaos leaves behind: docs/chaos/report.json and report.md."""

import json
import os
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

Made by `make chaos`, which has a seed (`SEED`, 1 by default); `ADD=1 SEED=2 make chaos` adds the runs of
another to each row. A run is a campaign of up to 1,000 mails with one fault in it.
`duplicated` are second acceptances by the mail world; `unexplained` those of deliveries that
were never in doubt (RFC 1047). `unknown` deliveries were in doubt and settled by evidence; what no
evidence settles in time is held and told as `email.skipped`: neither accepted nor lost.

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


def added(old: Row | None, new: Row) -> Row:
    """Both rows of a fault as one: sums, and the longest time to recover."""
    if old is None:
        return new
    told = "; ".join(str(row["broken"]) for row in (old, new) if "broken" in row)
    sums = {name: int(str(old[name])) + int(str(new[name])) for name in ("runs", *_SUMS)}
    longest = max(float(str(row["recover_seconds_max"])) for row in (old, new))
    row = {"fault": new["fault"], **sums, "recover_seconds_max": longest}
    return row | ({"broken": told} if told else {})


def kept() -> dict[str, Row]:
    """The rows of the report by their fault."""
    path = _REPORT / "report.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return {row["fault"]: row for row in rows}


def write(rows: Sequence[Row]) -> None:
    _REPORT.mkdir(parents=True, exist_ok=True)
    (_REPORT / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    header = list(dict.fromkeys(name for row in rows for name in row))
    table = [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(str(row.get(name, '')) for name in header)} |" for row in rows),
    ]
    (_REPORT / "report.md").write_text(_INTRODUCTION + "\n".join(table) + "\n")


class Report:
    """The file: a row is written again with every result of its scenario."""

    def __init__(self, faults: Sequence[str], *, silent: bool) -> None:
        self._faults, self._silent = faults, silent
        self._rows = kept()
        self._before = dict(self._rows) if os.environ.get("ADD") else {}

    def tell(self, row: Row) -> None:
        fault = str(row["fault"])
        self._rows[fault] = added(self._before.get(fault), row)
        if not self._silent:
            write([self._rows[name] for name in self._faults if name in self._rows])
