"""The whole platform as an operator starts it: `postfleet up` as a process, on ports of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.ports import free_ports

_PROGRAMS = {"nats": "nats-server", "database": "quiet_database", "sandbox": "postfleet_sandbox"}
_POSTFLEET = Path(sys.executable).with_name("postfleet")


class Platform:
    """`with Platform(directory, demo=True) as up: …`; stopped as by Ctrl-C at the end."""

    def __init__(
        self,
        data: Path,
        *,
        demo: bool = False,
        sandbox: bool = False,
        env: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        self._flags = ["--demo"] * demo + ["--sandbox"] * sandbox
        self._env = {**os.environ, **(env or {})}
        self.http_port, self.smtp_port, self.nats_port, self.mongo_port = free_ports(4)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.nats_url = f"nats://127.0.0.1:{self.nats_port}"
        self._process: subprocess.Popen[str] | None = None
        self._output = data.with_suffix(".out")

    def start(self) -> Self:
        command = [
            *(str(_POSTFLEET), "up", "--data", str(self.data), *self._flags),
            *("--http-port", str(self.http_port), "--smtp-port", str(self.smtp_port)),
            *("--nats-port", str(self.nats_port), "--mongo-port", str(self.mongo_port)),
        ]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._env,
                start_new_session=True,
            )
        return self

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, seconds: float) -> float:
        """Seconds until the output has `text`. Fails with the output if it does not come."""
        return self.wait_until(lambda: text in self.output, seconds, text)

    def wait_until(self, true: Callable[[], bool], seconds: float, what: str) -> float:
        started = time.monotonic()
        while not true():
            assert self._process is not None
            code = self._process.poll()
            assert code is None, f"ended with {code}\n{self.output}"
            waited = time.monotonic() - started
            assert waited < seconds, f"no {what!r} in {seconds} s\n{self.output}"
            time.sleep(0.1)
        return time.monotonic() - started

    def stop(self) -> int:
        """Ctrl-C; the exit code. Fails if it takes more than 30 seconds."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=30)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        self.kill_all()

    def signal(self, program: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one of its programs (`dispatcher`, `nats`, `database`, …); the pid."""
        pid = self.pid(program)
        assert pid is not None, f"{program} does not run\n{self.output}"
        os.kill(pid, number)
        return pid

    def pid(self, program: str) -> int | None:
        """The supervisor's child that runs this program, by its command line."""
        assert self._process is not None
        for child in _children(self._process.pid):
            if _PROGRAMS.get(program, f" -m {program} ") in f"{_command(child)} ":
                return child
        return None

    def own_url(self, program: str) -> str:
        """Where a service itself answers HTTP, behind the gateway."""
        pid = self.pid(program)
        assert pid is not None, f"{program} does not run\n{self.output}"
        for port in _listening(pid):
            url = f"http://127.0.0.1:{port}"
            with contextlib.suppress(httpx.HTTPError):  # an SMTP port
                if httpx.get(f"{url}/healthz", timeout=5, trust_env=False).is_success:
                    return url
        raise AssertionError(f"{program} answers no HTTP\n{self.output}")

    def kill_all(self) -> None:
        """The end, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            children = _children(self._process.pid)
            self._process.kill()
            self._process.wait(timeout=10)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    def api(self) -> httpx.Client:
        key = (self.data / "api-key").read_text().strip()
        return httpx.Client(
            base_url=f"{self.url}/api/public/v1",
            headers={"X-API-Key": key},
            timeout=30,
            trust_env=False,
        )

    def endpoints(self) -> dict[str, Any]:
        """Where the mail world listens."""
        document: dict[str, Any] = json.loads((self.data / "sandbox" / "sandbox.json").read_text())
        return document

    def sandbox(self, path: str) -> Any:
        """GET from the mail world's control API; JSON lines become a list."""
        url = f"http://127.0.0.1:{self.endpoints()['control_port']}{path}"
        answer = httpx.get(url, timeout=30, trust_env=False)
        if path.startswith("/ledger"):
            return [json.loads(line) for line in answer.text.splitlines()]
        return answer.json()

    def summary(self) -> dict[str, tuple[int, int]]:
        """The table at the demo's end: figure -> (Postfleet's, the mail world's)."""
        rows = re.findall(r"│ (\w+)\s+│\s+(\d+) │\s+(\d+) │ .", self.output)
        return {name: (int(ours), int(theirs)) for name, ours, theirs in rows}


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listing.split()]
    return []


def _listening(pid: int) -> list[int]:
    """The TCP ports of IPv4 that the process listens on."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(os.readlink(entry))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in held
    ]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""
