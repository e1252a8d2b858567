"""A program forked from a nursery (`postfleet.nursery`), as its new parent sees it."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_CONNECT_POLL_S = 0.02


class NoNursery(Exception):
    """There is none, or it has died: the program has to be started anew."""


@dataclass(frozen=True, slots=True)
class Request:
    """`python -m module`; `streams` are its standard input, output and error.

    `dies_with_us` needs `adopt`: the kernel ends it when we are gone.
    """

    module: str
    env: Mapping[str, str]
    streams: Sequence[int]
    dies_with_us: bool

    def encoded(self) -> bytes:
        said = {"module": self.module, "env": dict(self.env), "leashed": self.dies_with_us}
        return json.dumps(said).encode()


class Forked:
    """A process that was forked elsewhere. `returncode` as in subprocess, where we are its parent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._watched = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._watched, self._bury)

    async def wait(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None if only its parent knows."""
        await self._ended.wait()
        return self.returncode

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if not self._ended.is_set():
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    def _bury(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
        os.close(self._watched)


def possible() -> bool:
    """Linux adopts (prctl) and watches by descriptor (5.3)."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def adopt() -> None:
    """From now on we become the parent of what a nursery of ours forks."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def bury_adopted(ours: Collection[int]) -> None:
    """Take leave of those whose parents have died before them; `ours` are waited for elsewhere."""
    for pid in _children():
        if pid not in ours:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


async def fork(request: Request, nursery: str, patience_s: float) -> Forked:
    """Waits so long for the nursery to listen and to have imported. Raises NoNursery."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(patience_s):
                await _connect(connection, nursery)
                socket.send_fds(connection, [request.encoded()], request.streams)
                said = await asyncio.get_running_loop().sock_recv(connection, 32)
        except (OSError, TimeoutError) as error:
            raise NoNursery(f"the nursery does not answer: {error!r}") from error
    if not said:
        raise NoNursery("the nursery has died")
    return Forked(int(said))


async def _connect(connection: socket.socket, nursery: str) -> None:
    while True:
        try:
            connection.connect(f"\0{nursery}")
        except (ConnectionRefusedError, BlockingIOError):
            await asyncio.sleep(_CONNECT_POLL_S)
        else:
            return


def _children() -> list[int]:
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listing.read_text().split()] if listing.exists() else []
