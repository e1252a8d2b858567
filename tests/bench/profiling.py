"""Where the time of a process goes: py-spy beside it, a flame graph and a table of the report."""

import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

PLACE = Path("docs/benchmarks")
FLAMES, TABLE = PLACE / "profile.svg", PLACE / "profile.md"
_RATE = "200"  # samples a second
_ROWS = 25


def missing() -> str | None:
    return None if _py_spy() else "py-spy is not there"


class Profile:
    """`with Profile(pid) as profile: …`; afterwards `stacks` has what was sampled, by stack."""

    def __init__(self, pid: int, flames: Path | None = None) -> None:
        self.stacks: Counter[str] = Counter()
        self._folder = tempfile.TemporaryDirectory(prefix="spy")
        self._raw = Path(self._folder.name) / "raw"
        self._wanted = {"raw": self._raw} | ({"flamegraph": flames} if flames else {})
        self._pid = pid
        self._spies: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for format_, file in self._wanted.items():
            argv = [
                _py_spy() or "py-spy",
                "record",
                "--pid",
                str(self._pid),
                "--nonblocking",
                "--gil",
            ]
            argv += ["--rate", _RATE, "--format", format_, "--output", str(file)]
            self._spies.append(
                subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for spy in self._spies:
            spy.send_signal(signal.SIGINT)
        for spy in self._spies:
            spy.wait(60)
        if self._raw.exists():
            for line in self._raw.read_text().splitlines():
                stack, _, count = line.rpartition(" ")
                self.stacks[stack] += int(count)
        if flames := self._wanted.get("flamegraph"):
            _without_paths(flames)
        self._folder.cleanup()


def _without_paths(flames: Path) -> None:
    """The graph's title has the whole command line: no reader needs this machine's folders."""
    if flames.exists() and (program := _py_spy()):
        folder = f"{Path(program).parent}/"
        flames.write_text(flames.read_text().replace(folder, ""))


def table(stacks: Counter[str], title: str) -> str:
    """Markdown: own time by package, and by function; a sample is where the thread with the GIL was."""
    total = sum(stacks.values()) or 1
    own: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    for stack, count in stacks.items():
        leaf = stack.rpartition(";")[2]
        own[leaf] += count
        packages[_package(leaf)] += count
    lines = [f"{title}, {total} samples.", "", "| package | own time |", "|---|---|"]
    lines += [f"| {name} | {100 * n / total:.1f} % |" for name, n in packages.most_common(14)]
    lines += ["", "| function | own time |", "|---|---|"]
    lines += [f"| `{name}` | {100 * n / total:.1f} % |" for name, n in own.most_common(_ROWS)]
    return "\n".join(lines) + "\n"


def _package(leaf: str) -> str:
    """`insert (pymongo/collection.py:12)` -> pymongo; the standard library's is one."""
    path = leaf.partition("(")[2].partition(":")[0].rstrip(")")
    first = path.removeprefix("<").partition("/")[0]
    return "standard library" if first.endswith((".py", ">")) or not first else first


def _py_spy() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")
