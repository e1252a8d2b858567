"""`python -m postfleet.nursery NAME MODULE…`: imports the modules once, then forks programs from itself.

A program that starts here finds the modules imported and shares their pages with the others. Who asks
(`postfleet.forked`) becomes its parent. There is no thread and no loop here, and nothing is imported
that opens or reads anything when it is imported. NAME is that of an abstract socket (unix(7)), which
the same user may speak to. Linux only.
"""

import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from postfleet import failpoints

_PR_SET_PDEATHSIG = 1
_STREAMS = 3  # standard input, output and error come with a request
_REQUEST_BYTES = 1 << 20
_ADOPTION_S = 10.0
_PEER = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True)
class Birth:
    """What a forked process is to become. `parent`: who asked; `leashed`: it dies with its parent."""

    module: str
    env: Mapping[str, str]
    streams: tuple[int, ...]
    parent: int
    leashed: bool


def main(name: str, modules: Sequence[str]) -> None:
    """Serve until killed; in each process that is forked, run its program to its end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen(16)
        birth = _serve(listener, iter(modules))
    _become(birth)
    runpy.run_module(birth.module, run_name="__main__", alter_sys=True)


def _serve(listener: socket.socket, modules: Iterator[str]) -> Birth:
    """Returns in a forked process only. What is imported beforehand is never looked at for cycles."""
    gc.disable()
    for module in modules:
        with contextlib.suppress(ImportError):  # an image holds what its programs need
            import_module(module)
    gc.freeze()
    while True:
        select.select([listener], [], [])
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError, ValueError, KeyError):
            if birth := _answer(connection):
                return birth


def _answer(connection: socket.socket) -> Birth | None:
    """Fork what is asked for and say its pid; the birth in the new process, None in this one."""
    request, streams, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, _STREAMS)
    with contextlib.ExitStack() as ours:
        for stream in streams:
            ours.callback(os.close, stream)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        asked, (parent, user, _) = json.loads(request), _PEER.unpack(peer)
        if user != os.getuid():
            return None
        birth = Birth(asked["module"], asked["env"], tuple(streams), parent, asked["leashed"])
        pid = _fork_twice()
        if pid == 0:
            ours.pop_all()  # they are the program's
            return birth
        connection.send(str(pid).encode())
    return None


def _fork_twice() -> int:
    """0 in the grandchild, whose own parent is gone: the nearest ancestor that adopts becomes it."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        grandchild = os.fork()
        if grandchild == 0:
            os.close(writable)
            return 0
        os.write(writable, str(grandchild).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as said:
        pid = int(said.read())
    os.waitpid(child, 0)
    return pid


def _become(birth: Birth) -> None:
    """A session, parent, streams, environment and name of its own."""
    os.setsid()
    if birth.leashed:
        _die_with(birth.parent)
    for number, stream in enumerate(birth.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(birth.env)
    time.tzset()
    _name_process(sys.executable, "-m", birth.module)
    sys.argv[:] = [birth.module]
    sys.modules["__main__"].__spec__ = _spec_of(birth.module)
    failpoints.arm(os.environ.get("POSTFLEET_FAIL_POINT", ""))
    gc.enable()


def _spec_of(module: str) -> ModuleSpec | None:
    """As `python -m` finds it."""
    spec = find_spec(module)
    if spec is None or spec.submodule_search_locations is None:
        return spec
    return find_spec(f"{module}.__main__")


def _die_with(parent: int) -> None:
    """The kernel shall kill this process when `parent` is gone."""
    deadline = time.monotonic() + _ADOPTION_S
    while os.getppid() != parent:
        if time.monotonic() > deadline:
            os._exit(1)
        time.sleep(0.001)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _name_process(*argv: str) -> None:
    """What `ps` shows, in the room that the nursery's own arguments had."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5), from field 3
    if start:
        room = end - start
        said = b"\0".join(arg.encode() for arg in argv)[: room - 1]
        ctypes.memmove(start, said.ljust(room, b"\0"), room)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
