"""A program forked from a nursery is a process like any other: environment, streams, name, end."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postfleet import forked
from postfleet.forked import Forked, NoNursery, Request
from postfleet_cli import plan

pytestmark = pytest.mark.skipif(not forked.possible(), reason="Linux's prctl and pidfd")

_PROGRAM = """
    import json, os, sys, threading, time
    told = {
        "imported": "decimal" in sys.modules and "postfleet.forked" not in sys.modules,
        "argv": sys.argv, "env": dict(os.environ), "session": os.getsid(0) == os.getpid(),
        "read": sys.stdin.read(), "threads": threading.active_count(), "parent": os.getppid(),
        "command": open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0)),
        "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2),
    }
    print(json.dumps(told), flush=True)
    if os.environ.get("STAY"):
        time.sleep(60)
    sys.exit(7)
"""
_FAILING = """
    from postfleet.failpoints import reach
    reach("after-dot")
"""


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[str]:
    """A nursery that finds the programs `told` and `failing`; decimal is imported beforehand."""
    (tmp_path / "told.py").write_text(textwrap.dedent(_PROGRAM))
    (tmp_path / "failing").mkdir()
    (tmp_path / "failing" / "__init__.py").touch()
    (tmp_path / "failing" / "__main__.py").write_text(textwrap.dedent(_FAILING))
    name = f"test-{os.getpid()}-{tmp_path.name}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "postfleet.nursery", name, "decimal", "no_such_module"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    forked.adopt()
    yield name
    process.kill()
    await process.wait()


async def _start(nursery: str, module: str, output: Path, **env: str) -> Forked:
    with Path(os.devnull).open() as nothing, output.open("w") as said:  # noqa: ASYNC230
        streams = (nothing.fileno(), said.fileno(), said.fileno())
        return await forked.fork(Request(module, env, streams, True), nursery, 30)


async def test_a_forked_program_has_its_environment_streams_session_and_name(
    nursery: str, tmp_path: Path
) -> None:
    process = await _start(nursery, "told", tmp_path / "out", SAID="yes")
    assert await process.wait() == 7
    told = json.loads((tmp_path / "out").read_text())
    assert told["env"] == {"SAID": "yes"}
    assert told["command"] == [sys.executable, "-m", "told"]
    assert told["argv"] == [str(tmp_path / "told.py")]
    assert (told["read"], told["session"], told["threads"]) == ("", True, 1)
    assert told["parent"] == os.getpid()
    assert told["imported"]
    assert len(told["open"]) <= 2, "the nursery's sockets are not the program's"


async def test_who_kills_it_is_heard_as_of_a_child(nursery: str, tmp_path: Path) -> None:
    process = await _start(nursery, "told", tmp_path / "out", STAY="1")
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    assert process.returncode == -signal.SIGKILL
    process.kill()  # once more does no harm


@pytest.mark.parametrize(
    ("point", "code"),
    [
        pytest.param("failing/after-dot", -signal.SIGKILL, id="of this program"),
        pytest.param("dispatcher/after-dot", 0, id="of another one"),
    ],
)
async def test_fail_points_know_the_forked_programs_name(
    nursery: str, tmp_path: Path, point: str, code: int
) -> None:
    env = {"POSTFLEET_FAIL_POINT": point}
    process = await _start(nursery, "failing", tmp_path / "out", **env)
    assert await process.wait() == code, (tmp_path / "out").read_text()


async def test_without_a_nursery_it_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NoNursery):
        await forked.fork(Request("told", {}, (0, 1, 2), False), "nobody-has-this-name", 0.2)


async def test_what_is_imported_beforehand_starts_no_thread_and_is_no_service() -> None:
    program = (
        "import sys, threading; from importlib import import_module\n"
        "for name in sys.argv[1:]: import_module(name)\n"
        "print(threading.active_count(), *{m.partition('.')[0] for m in sys.modules})"
    )
    _, _, _, _, *modules = plan.nursery("name", {}).argv
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *modules), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    threads, *imported = said.decode().split()
    assert threads == "1"
    services = {"sender_registry", "dispatcher", "inbox_watcher", "tracker", "mail_provisioner"}
    assert not services & set(imported), "each would have the metrics of the others"
