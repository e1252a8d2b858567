"""One child process: started, watched, started again when it dies, ended in time.

A child has a session of its own, so Ctrl-C reaches the supervisor only. On Linux it dies with the
supervisor even if that is killed.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from postfleet.forked import Forked, NoNursery, Request, fork
from postfleet_cli.exits import ExitCode

_LONGEST_PAUSE_S = 30.0
_LONGEST_PAUSE_WHEN_KILLED_S = 2.0  # somebody killed it: nothing says that it will die again
_QUICK_S = 20.0  # a child that lived longer than this has not died at its start
_DEATHS_TO_EXPLAIN = 5
_NURSERY_S = 120.0  # it listens once it has imported everything
_LOG_LIMIT_BYTES = 8 * 1024 * 1024  # and one older file of the same size
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """`env` is the whole environment; `stale` are files that a killed run may have left.

    `nursery` is where it may be forked, if it is `python -m MODULE`; else it is a process of its own.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stale: tuple[Path, ...] = ()
    nursery: str | None = None


class Child:
    """A program that is kept running until `stop`."""

    def __init__(self, program: Program, logs: Path, say: Say) -> None:
        self.name = program.name
        self.log = logs / f"{program.name}.log"
        self.deaths = 0  # in a row, each soon after a start
        self.misconfigured = False  # it has ended because of a setting, and will again
        self._program, self._say = program, say
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> None:
        """Start it; returns when the process exists, whatever becomes of it."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, grace_s: float) -> bool:
        """SIGTERM, then SIGKILL to what is left of its group; False if that was necessary."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._keeper is None:
            return True
        done, _ = await asyncio.wait({self._keeper}, timeout=grace_s)
        if done:
            return True
        self.kill()
        await asyncio.wait({self._keeper}, timeout=2)
        return False

    def interrupt(self) -> None:
        """SIGTERM; it is started again as after any death."""
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the child's whole group."""
        self._stopping.set()
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def cap_log(self) -> None:
        """Move a log that has grown too long aside; the child goes on writing to the same file."""
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]

    def next_pause_s(self, *, soon: bool, killed: bool = False) -> float:
        """Count a death, `soon` after the start or not; the pause before the next start."""
        self.deaths = self.deaths + 1 if soon else 1
        longest = _LONGEST_PAUSE_WHEN_KILLED_S if killed else _LONGEST_PAUSE_S
        return min(2.0 ** (self.deaths - 1), longest)

    async def _keep(self) -> None:
        while self._process is not None:
            started = time.monotonic()
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            self.misconfigured = code == ExitCode.CONFIG
            soon = time.monotonic() - started < _QUICK_S
            pause_s = self.next_pause_s(soon=soon, killed=code == -signal.SIGKILL)
            self._report(code, pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            await self._spawn()

    def _report(self, code: int | None, pause_s: float) -> None:
        self._say(f"{self.name} {_ending(code)}; starting it again in {pause_s:.0f} s")
        if code == ExitCode.CONFIG or self.deaths % _DEATHS_TO_EXPLAIN == 0:
            self._say(f"the last lines of {self.log}:")
            for line in self.last_lines():
                self._say(f"  {line}")

    async def _spawn(self) -> None:
        for file in self._program.stale:
            file.unlink(missing_ok=True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await self._forked(nothing, log) or await self._executed(nothing, log)
        finally:
            os.close(nothing)
            os.close(log)

    async def _forked(self, nothing: int, log: int) -> Forked | None:
        program = self._program
        if program.nursery is None:
            return None
        streams = (nothing, log, log)
        request = Request(program.argv[-1], program.env, streams, dies_with_us=True)
        try:
            return await fork(request, program.nursery, _NURSERY_S)
        except NoNursery:
            return None

    async def _executed(self, nothing: int, log: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._program.argv,
            stdin=nothing,
            stdout=log,
            stderr=log,
            env=dict(self._program.env),
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
        )

    def _signal(self, number: signal.Signals) -> None:
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def die_with(parent: int) -> Callable[[], None] | None:
    """What the child runs before its program: the kernel shall kill it when `parent` is gone."""
    libc = _libc
    if libc is None:
        return None

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def _ending(code: int | None) -> str:
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
