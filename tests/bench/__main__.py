"""`make bench`: every figure as a ratio inside one run. Writes docs/benchmarks/report.json and .md.

QUICK=1 takes fewer and shorter rounds and writes nothing; ONLY=text the modules with that text.
REPORT=1 writes the report all the same.
A module of this folder with `results(quick) -> list[Figure]` is a bench.
"""

import importlib
import os
import sys
import time
from pathlib import Path

from tests.bench import report
from tests.bench.figures import Figure

_HERE = Path(__file__).parent


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    only = os.environ.get("ONLY", "")
    figures: list[Figure] = []
    began = time.monotonic()
    for file in sorted(_HERE.glob("*.py")):
        if file.stem in ("__main__", "figures") or only not in file.stem:
            continue
        module = importlib.import_module(f"tests.bench.{file.stem}")
        if hasattr(module, "results"):
            print(f"{file.stem}:", flush=True)
            for found in module.results(quick):
                figures.append(found)
                print("  " + _line(found), flush=True)
    if os.environ.get("REPORT") or not (quick or only):
        report.write(figures, time.monotonic() - began)
    return 0


def _line(found: Figure) -> str:
    if found.missing:
        return f"{found.name}: not measured: {found.spread}"
    peer = f", {found.ratio} x {found.against}" if found.ratio is not None else ""
    goal = f" (goal: {found.goal})" if found.goal else ""
    return f"{found.name}: {found.median:g} {found.unit} [{found.spread}]{peer}{goal}"


if __name__ == "__main__":
    sys.exit(main())
