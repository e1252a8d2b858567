"""The sizing table of operations.md, from what `make bench` measured: docs/benchmarks/report.json.

docs/generate.py writes and checks it, so that no number there is written by hand.
"""

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
REPORT = DOCS / "benchmarks/report.json"
PAGE = DOCS / "operations.md"
_BETWEEN = re.compile(r"(<!-- sizing: .*? -->\n).*?(<!-- end of sizing -->)", re.DOTALL)

_SIZES = re.compile(r"[\d,]+(?= leads)|(?<= leads beside )[\d,]+")

#: name in the report, N for how many leads it took -> what an operator reads, and what follows
ROWS = {
    "end to end, N leads": ("a campaign, import to the last 250", "the whole platform"),
    "end to end, N leads: CPU of the dispatcher": ("CPU of the dispatcher", "add replicas"),
    "end to end, N leads: CPU of the database": ("CPU of the database", "a real MongoDB"),
    "end to end, N leads: CPU of the nats": ("CPU of NATS", "seldom the limit"),
    "end to end, N leads beside N: peak memory of the dispatcher": (
        "memory of the dispatcher, at most",
        "does not grow with mails",
    ),
    "leads: rows a second imported": ("leads from CSV", "one import at a time"),
    "SMTP in, durable, kept connections": ("SMTP in, each mail on disk", "per dispatcher"),
    "registry: outcomes applied by one process, 200 senders": ("outcomes applied", "one suffices"),
    "inbox: an idle mailbox": ("memory of an idle mailbox", "times your mailboxes"),
    "tracker: pixels": ("pixels answered", "per tracker"),
    "tracker: clicks": ("clicks answered", "per tracker"),
    "tracker: events counted by one process": ("events counted", "what waits is counted later"),
    "five idle services, shared pages in parts": ("the five services at rest", "`postfleet up`"),
    "postfleet up until ready, warm": ("`postfleet up` until ready", "servers included"),
}


def page() -> str:
    """operations.md as it has to be. Raises SystemExit if the report lacks a row."""
    text = PAGE.read_text("utf-8")
    made, count = _BETWEEN.subn(lambda found: found[1] + table() + found[2], text)
    if count != 1:
        raise SystemExit(f"{PAGE.name} has no place for the sizing table between its two comments")
    return made


def table() -> str:
    rows = measured()
    if missing := sorted(set(ROWS) - set(rows)):
        raise SystemExit(f"{REPORT.name} lacks {missing}: run `make bench`, or name its rows anew")
    lines = ["| what | measured | |", "|---|---|---|"]
    for name, (what, note) in ROWS.items():
        row = rows[name]
        lines.append(f"| {what} | {_rounded(row['median'])} {row['unit']} | {note} |")
    return "\n".join(lines) + "\n"


def measured() -> dict[str, dict[str, Any]]:
    """The report's rows by name. A short bench has fewer leads than a whole one."""
    return {_SIZES.sub("N", row["name"]): row for row in json.loads(REPORT.read_text("utf-8"))}


def _rounded(value: float) -> str:
    """Three digits: more is noise."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"
