"""Benches of minutes, which `make bench` takes in a shorter form: what the long one found, and when.

`ONLY=leads make bench` measures one and replaces its part of docs/benchmarks/long.json and long.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench import report
from tests.bench.figures import Figure
from tests.bench.machine import commit

_HEAD = """\
# Figures of the long forms

`make bench` ends within 15 minutes: what takes longer is there in a shorter form, and here in its long
one, measured alone on the same machine. `ONLY=` and the name below measures it again.
"""


def keep(name: str, figures: Sequence[Figure], seconds: float) -> None:
    """Replaces what is kept of this bench; the others stay as they are."""
    kept = _kept()
    rows = [asdict(found) for found in figures if not found.missing]
    kept[name] = {"commit": commit(), "seconds": round(seconds), "figures": rows}
    report.PLACE.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
    (report.PLACE / "long.json").write_text(text + "\n")
    (report.PLACE / "long.md").write_text(page(kept))


def page(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """long.md, of what long.json has."""
    lines = [_HEAD]
    for name, one in sorted(kept.items()):
        took = f"{one['seconds'] / 60:.0f} minutes" if one["seconds"] else "within a whole bench"
        lines += [f"## {name}", "", f"At commit {one['commit']}, {took}.", ""]
        lines += [*report.table([Figure(**row) for row in one["figures"]]), ""]
    return "\n".join(lines)


def _kept() -> dict[str, Any]:
    file = report.PLACE / "long.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found
