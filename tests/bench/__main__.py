"""`make bench`: every figure as a ratio inside one run. Writes docs/benchmarks/report.json and .md.

QUICK=1 takes fewer and shorter rounds and writes nothing; ONLY=text the modules with that text.
A module of this folder with `results(quick) -> list[Figure]` is a bench.
"""

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Figure

_REPORT = Path("docs/benchmarks")
_HERE = Path(__file__).parent


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    only = os.environ.get("ONLY", "")
    figures: list[Figure] = []
    for file in sorted(_HERE.glob("*.py")):
        if file.stem in ("__main__", "figures") or only not in file.stem:
            continue
        module = importlib.import_module(f"tests.bench.{file.stem}")
        if hasattr(module, "results"):
            print(f"{file.stem}:", flush=True)
            for found in module.results(quick):
                figures.append(found)
                print("  " + _line(found), flush=True)
    if not quick and not only:
        _write(figures)
    return 0


def _line(found: Figure) -> str:
    peer = f", {found.ratio} x {found.against}" if found.ratio is not None else ""
    goal = f" (goal: {found.goal})" if found.goal else ""
    return f"{found.name}: {found.median:g} {found.unit} [{found.spread}]{peer}{goal}"


def _write(figures: list[Figure]) -> None:
    _REPORT.mkdir(parents=True, exist_ok=True)
    rows = [asdict(found) for found in figures]
    (_REPORT / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [
        "# Figures",
        "",
        f"Made by `make bench` on {os.cpu_count()} cores, Python {platform.python_version()},",
        f"{platform.system()} {platform.machine()}. Trust the ratios, not the absolutes.",
        "",
        "| figure | median | unit | spread | ratio | against | goal |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, _cells(found)))} |" for found in figures),
    ]
    (_REPORT / "report.md").write_text("\n".join(lines) + "\n")


def _cells(found: Figure) -> list[object]:
    peer = (found.ratio or "", found.against or "")
    return [found.name, f"{found.median:g}", found.unit, found.spread, *peer, found.goal]


if __name__ == "__main__":
    sys.exit(main())
