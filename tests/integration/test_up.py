"""`postfleet up` as people use it: one command, Ctrl-C, kill -9, and again on the same directory."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from postfleet_cli.child import die_with
from postfleet_cli.routes import SERVICES
from tests.support.ports import free_ports

_COMMAND = str(Path(sys.executable).parent / "postfleet")
_READY_S = 120  # much more than a start takes; the machine may be busy with other tests


class Up:
    """`postfleet up` on one directory and one set of ports, over any number of starts."""

    def __init__(self, root: Path) -> None:
        self.data, self._root = root / "data", root
        self.http_port, smtp, nats, mongo = free_ports(4)
        ports = zip(
            ("http", "smtp", "nats", "mongo"), (self.http_port, smtp, nats, mongo), strict=True
        )
        self.argv = [_COMMAND, "up", "--sandbox", "--data", str(self.data)]
        self.argv += [word for name, port in ports for word in (f"--{name}-port", str(port))]
        self.process: subprocess.Popen[bytes] | None = None
        self._out = root / "out"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, **environment: str) -> None:
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environ() | environment,
                preexec_fn=die_with(os.getpid()),
            )

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def printed(self, pattern: str) -> bool:
        return re.search(pattern, self._out.read_text()) is not None

    def wait_until_printed(self, pattern: str, timeout: float = _READY_S) -> None:
        def said_or_ended() -> bool:
            assert self.process is not None
            return self.printed(pattern) or self.process.poll() is not None

        _until(said_or_ended, lambda: f"no {pattern!r} in\n{self._out.read_text()}", timeout)
        assert self.printed(pattern), self._out.read_text()

    def get(self, path: str) -> httpx.Response:
        url, key = f"http://127.0.0.1:{self.http_port}{path}", self.data / "api-key"
        headers = {"X-API-Key": key.read_text().strip()}
        return httpx.get(url, headers=headers, timeout=10, trust_env=False)

    def children(self) -> dict[str, int]:
        """What the supervisor runs: the module or program -> pid."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                argv = (status.parent / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == self.pid and any(argv):  # one that has just died has none
                name = argv[argv.index("-m") + 1] if "-m" in argv else Path(argv[0]).name
                found[name] = int(status.parent.name)
        return found

    def exit_code_after(self, number: signal.Signals, within_s: float) -> int:
        """Send a signal to the supervisor alone, as `kill` does."""
        os.kill(self.pid, number)
        return self.exit_code(within_s)

    def exit_code(self, within_s: float) -> int:
        assert self.process is not None
        return self.process.wait(within_s)


def _environ() -> dict[str, str]:
    ours = ("MASTER_KEY", "NATS_URL", "NATS_USER", "NATS_PASSWORD", "MONGODB_URL")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("POSTFLEET_")
    }


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    one = Up(tmp_path)
    yield one
    one.stop()


def _until(true: Callable[[], bool], otherwise: Callable[[], str], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


def test_one_command_starts_everything_heals_what_dies_and_ctrl_c_ends_it_with_0(up: Up) -> None:
    up.start()
    up.wait_until_printed("Postfleet is ready")
    key = (up.data / "api-key").read_text().strip()
    up.wait_until_printed(re.escape(key))
    up.wait_until_printed(f"http://127.0.0.1:{up.http_port}/")
    assert up.get("/readyz").status_code == 200
    assert up.get("/api/public/v1/sender-accounts").json()["items"] == []
    for service in SERVICES:
        assert f'process_open_fds{{service="{service}"}}' in up.get("/metrics").text

    second = subprocess.run(up.argv, env=_environ(), capture_output=True, text=True, check=False)
    assert second.returncode == 69
    assert f"running on {up.data} already" in second.stderr

    before = up.children()
    os.kill(before["tracker"], signal.SIGKILL)
    up.wait_until_printed("tracker was ended by SIGKILL; starting it again in 1 s", 5)
    _until(lambda: up.children().get("tracker", 0) != 0, lambda: "the tracker is started again")
    _until(lambda: up.get("/readyz").status_code == 200, lambda: "ready again")
    after = up.children()
    own = ("tracker", "tracker.consumer")
    assert {n: p for n, p in after.items() if n not in own} == {
        n: p for n, p in before.items() if n not in own
    }

    started = time.monotonic()
    assert up.exit_code_after(signal.SIGINT, within_s=30) == 0
    assert time.monotonic() - started < 30
    assert up.printed("draining")
    assert not up.printed("was killed")
    assert [name for name, pid in after.items() if Path(f"/proc/{pid}").exists()] == []


def test_a_setting_that_a_service_refuses_ends_it_with_the_reason(up: Up) -> None:
    up.start(POSTFLEET_DISPATCHER_SMTP_MAX_RECIPIENTS="abc")
    assert up.exit_code(60) == 78
    assert up.printed(r"dispatcher cannot start with its settings")
    assert up.printed(r"POSTFLEET_DISPATCHER_SMTP_MAX_RECIPIENTS")


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_start_has_the_old_keys(
    up: Up,
) -> None:
    up.start()
    _until(lambda: "nats-server" in up.children() and len(up.children()) >= 4, lambda: "children")
    children = up.children()
    keys = {name: (up.data / name).read_text() for name in ("master-key", "api-key")}
    os.kill(up.pid, signal.SIGKILL)
    assert up.exit_code(5) == -signal.SIGKILL
    _until(lambda: not any(_alive(pid) for pid in children.values()), lambda: "the children's end")

    up.start()
    _until(lambda: "nats-server" in up.children(), lambda: "the second start")
    assert {name: (up.data / name).read_text() for name in keys} == keys
    assert up.exit_code_after(signal.SIGTERM, within_s=30) == 0  # in the middle of its start


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
