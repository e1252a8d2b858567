"""`make bench`: every figure as a ratio inside one run. Writes docs/benchmarks/report.json and .md.

QUICK=1 takes fewer and shorter rounds; ONLY=text the modules with that text, and writes no report.
A module of this folder with `results(quick) -> Iterable[Figure]` is a bench.
"""

import importlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.bench import report
from tests.bench.figures import Figure, broken

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
            for found in _results(file.stem, module, quick):
                figures.append(found)
                print("  " + _line(found), flush=True)
    if not only:
        report.write(figures, time.monotonic() - began, quick=quick)
    return int(any(found.failed for found in figures))


def _results(name: str, module: ModuleType, quick: bool) -> Iterator[Figure]:
    """One that breaks is in the report with its reason, and does not take the others with it."""
    try:
        yield from module.results(quick)
    except Exception as error:
        traceback.print_exc()
        yield broken(name, error)


def _line(found: Figure) -> str:
    if found.missing:
        return f"{found.name}: not measured: {found.spread}"
    peer = f", {found.ratio} x {found.against}" if found.ratio is not None else ""
    goal = f" (goal: {found.goal})" if found.goal else ""
    return f"{found.name}: {found.median:g} {found.unit} [{found.spread}]{peer}{goal}"


if __name__ == "__main__":
    sys.exit(main())
