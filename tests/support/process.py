"""One server process and all its children: started, signalled and ended as one group."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Ends the group when our end of the pipe closes, however this interpreter ends: a test run that
# is killed leaves no server behind.
_LEASH = 'read _; kill -KILL "-$1"'


class ServerProcess:
    """A server in a session of its own; only what it started is ever signalled."""

    def __init__(
        self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._ended = False
        self.argv, self.log = [str(part) for part in argv], log
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                start_new_session=True,
            )
        self._leash = subprocess.Popen(
            ["/bin/sh", "-c", _LEASH, "leash", str(self._server.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The leader's pid; it is also the id of its session and process group."""
        return self._server.pid

    @property
    def running(self) -> bool:
        return self._server.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if not self._ended:
                os.killpg(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP, and wait until no thread of the server runs: the signal alone takes its time."""
        self.signal(signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not self._stopped():
            assert time.monotonic() < deadline, f"{self.argv[0]} runs on after SIGSTOP"
            time.sleep(0.005)

    def _stopped(self) -> bool:
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]
        return set(states) <= {"T", "t"}

    def kill(self) -> None:
        """End the group with SIGKILL and wait until it is gone; once only, as ids are reused."""
        if self._ended:
            return
        self.signal(signal.SIGKILL)
        self._server.wait()
        _wait(lambda: not _group_alive(self.pid), 5, lambda: f"{self.argv[0]} outlived SIGKILL")
        # Last: until here the leash must still act if we die.
        self._leash.kill()
        self._leash.wait()
        if self._leash.stdin:
            self._leash.stdin.close()
        self._ended = True

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float = 15) -> None:
        """Poll `ready`; raise RuntimeError with the log if the server ends or time is up."""

        def check() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.argv[0]} ended before {what}\n{self.tail()}")
            return ready()

        _wait(check, timeout, lambda: f"no {what} after {timeout} s\n{self.tail()}")

    def tail(self, characters: int = 6000) -> str:
        """The end of what the server printed."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(_is_live_member(stat, group) for stat in Path("/proc").glob("[0-9]*/stat"))


def _is_live_member(stat: Path, group: int) -> bool:
    try:
        state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state != "Z"  # a zombie waits for init, not for us


def _wait(ready: Callable[[], bool], timeout: float, failure: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(failure())
        time.sleep(0.01)
