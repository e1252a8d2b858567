"""`make bench`: every figure as a ratio inside one run. Writes docs/benchmarks/report.json and .md.

QUICK=1 takes fewer and shorter rounds; ONLY=text the modules with that text, and writes no report.
A module of this folder with `results(quick) -> Iterable[Figure]` is a bench. One with `long_results()`
has a longer form, of minutes: ONLY takes that one, and keeps what it found in docs/benchmarks/long.md.
"""

import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tests.bench import long_forms, report
from tests.bench.figures import Figure, broken

_HERE = Path(__file__).parent


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    only = os.environ.get("ONLY", "")
    figures: list[Figure] = []
    seconds: dict[str, float] = {}
    with _compiled_once():
        _run(only, quick, figures, seconds)
    if not only:
        report.write(figures, seconds, quick=quick)
    return int(any(found.failed for found in figures))


@contextmanager
def _compiled_once() -> Iterator[None]:
    """Some 150 programs are started: as where they are installed, what is imported is compiled already."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="bytecode") as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        Path(folder).chmod(0o755)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _run(only: str, quick: bool, figures: list[Figure], seconds: dict[str, float]) -> None:
    for name, module in _benches(only):
        long = bool(only) and not quick and hasattr(module, "long_results")
        print(f"{name}{', its long form' * long}:", flush=True)
        began, found = time.monotonic(), []
        for one in _results(name, module, quick=quick, long=long):
            found.append(one)
            print("  " + _line(one), flush=True)
        seconds[name] = time.monotonic() - began
        print(f"  {name} took {seconds[name]:.0f} s", flush=True)
        if long and not any(one.failed for one in found):
            long_forms.keep(name, found, seconds[name])
        figures += found


def _benches(only: str) -> Iterator[tuple[str, ModuleType]]:
    for file in sorted(_HERE.glob("*.py")):
        if file.stem in ("__main__", "figures") or only not in file.stem:
            continue
        module = importlib.import_module(f"tests.bench.{file.stem}")
        if hasattr(module, "results"):
            yield file.stem, module


def _results(name: str, module: ModuleType, *, quick: bool, long: bool) -> Iterator[Figure]:
    """One that breaks is in the report with its reason, and does not take the others with it."""
    try:
        yield from module.long_results() if long else module.results(quick)
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
