"""A child is kept running, explained when it cannot, and ended in time."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postfleet_cli import child
from postfleet_cli.child import Child, Program

_SLEEP = "import time; time.sleep(60)"


class _Watch:
    """Children of one test and what was said about them."""

    def __init__(self, logs: Path) -> None:
        self.said: list[str] = []
        self._logs, self._children = logs, list[Child]()

    def child(self, code: str, *stale: Path) -> Child:
        program = Program("it", (sys.executable, "-c", code), os.environ, stale)
        self._children.append(Child(program, self._logs, self.said.append))
        return self._children[-1]

    async def end(self) -> None:
        for one in self._children:
            one.kill()
            await one.stop(5)


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[_Watch]:
    watching = _Watch(tmp_path)
    yield watching
    await watching.end()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (a process, no event)
            await asyncio.sleep(0.02)


async def test_a_child_that_is_killed_is_started_again_and_a_line_says_so(watch: _Watch) -> None:
    it = watch.child(_SLEEP)
    await it.start()
    first = it.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await _until(lambda: it.pid not in (None, first))
    assert watch.said == ["it was ended by SIGKILL; starting it again in 1 s"]


async def test_pauses_grow_and_after_five_quick_deaths_the_log_is_shown(
    watch: _Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LONGEST_PAUSE_S", 0.01)
    it = watch.child("raise SystemExit('no luck today')")
    await it.start()
    await _until(lambda: it.deaths >= 5)
    await _until(lambda: any("no luck today" in line for line in watch.said))
    before = watch.said.index(f"the last lines of {it.log}:")
    assert sum("ended with exit code 1" in line for line in watch.said[:before]) == 5


async def test_the_pause_doubles_up_to_its_limit(watch: _Watch) -> None:
    it = watch.child("pass")
    pauses = []
    for deaths in range(7):
        it.deaths = deaths
        pauses.append(it.next_pause_s(soon=True))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_a_child_that_refuses_its_configuration_is_explained_at_once(watch: _Watch) -> None:
    it = watch.child("import sys; print('MASTER_KEY: is not set'); sys.exit(78)")
    await it.start()
    await _until(lambda: len(watch.said) >= 3)
    assert watch.said[2] == "  MASTER_KEY: is not set"


async def test_a_child_that_ends_when_asked_is_not_killed(watch: _Watch) -> None:
    it = watch.child(_SLEEP)
    await it.start()
    assert await it.stop(5)
    assert it.pid is None
    assert watch.said == []


async def test_a_child_that_does_not_listen_is_killed_with_all_of_its_own(
    watch: _Watch, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    code = (
        "import os, pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"grandchild = os.fork(); pathlib.Path({str(ready)!r}).write_text(str(grandchild))"
        " if grandchild else None; time.sleep(60)"
    )
    it = watch.child(code)
    await it.start()
    await _until(lambda: ready.exists() and ready.read_text() != "")
    assert not await it.stop(0.2)
    await _until(lambda: _gone(int(ready.read_text())))
    assert it.pid is None


async def test_what_a_killed_run_left_is_removed_before_the_next(
    watch: _Watch, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text("1")
    it = watch.child(_SLEEP, pid_file)
    await it.start()
    assert not pid_file.exists()


async def test_a_log_that_grew_too_long_is_moved_aside_under_the_writer(
    watch: _Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LOG_LIMIT_BYTES", 10)
    it = watch.child(
        "import time\nprint('x' * 50, flush=True)\ntime.sleep(1)\nprint('new', flush=True)\n"
        "time.sleep(60)"
    )
    await it.start()
    await _until(lambda: it.last_lines() == ["x" * 50])
    it.cap_log()
    await _until(lambda: it.last_lines() == ["new"])
    assert it.log.with_suffix(".log.1").read_text() == "x" * 50 + "\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    supervisor = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from postfleet_cli.child import Child, Program\n"
        "async def main():\n"
        f"    program = Program('it', (sys.executable, '-c', {_SLEEP!r}), os.environ)\n"
        "    child = Child(program, pathlib.Path(sys.argv[1]), print)\n"
        "    await child.start()\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", supervisor, str(tmp_path)), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    await _until(lambda: _gone(pid))
    assert _gone(pid)


def _gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True
