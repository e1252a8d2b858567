"""Clients of the SMTP benches: each runs as a process of its own and tells how long it took.

Wall clock and CPU are taken from the first connection to the last reply; for `smtp-source`, which
starts in a millisecond, of the whole process. With two cores the client has one, the sink the other.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.mails import HTML, RECIPIENT, REVERSE_PATH, TEXT, ready_mail
from tests.support import mailpeers

_PEERS = Path(__file__).parent / "peers"
_ROOT = Path(__file__).parents[2]
CLIENT_CORE, SINK_CORE = 0, 1


@dataclass(frozen=True, slots=True)
class Job:
    """What every client is told. `recipient` has a star where the mail's number goes."""

    port: int
    count: int
    connections: int = 10
    size_bytes: int = 2000
    content_file: str = ""
    reverse_path: str = REVERSE_PATH
    recipient: str = RECIPIENT
    text: str = TEXT
    html: str = HTML
    compose: bool = False
    warm_up: int = 0
    ca_file: str = ""
    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One client's run."""

    mails: int
    seconds: float
    cpu_seconds: float
    kernel_seconds: float = 0.0  # of these, where it was asked

    @property
    def rate(self) -> float:
        return self.mails / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a mail, in user and kernel mode."""
        return self.cpu_seconds / self.mails * 1e6

    @property
    def kernel_us(self) -> float:
        """Of these, in kernel mode: what system calls and TCP cost whatever the language."""
        return self.kernel_seconds / self.mails * 1e6


class ClientFailed(Exception):
    """It did not send every mail; the text is what it printed."""


Client = Callable[[Job, bool], Run]


def smtp_source(job: Job, pinned: bool = True) -> Run:
    """Postfix's own load generator: C, one command at a time, connections kept (`-d`)."""
    argv = ["smtp-source", "-d", "-s", str(job.connections), "-m", str(job.count)]
    argv += ["-F", _content(job, "\n"), "-f", job.reverse_path]
    argv += ["-t", job.recipient.replace("*", ""), f"127.0.0.1:{job.port}"]
    began = time.perf_counter()
    process = subprocess.Popen(
        _pinned(argv, pinned), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or said:
        raise ClientFailed(f"smtp-source ended with {process.returncode}: {said[-2000:]}")
    return Run(job.count, seconds, used.ru_utime + used.ru_stime, used.ru_stime)


def python_peer(name: str) -> Client:
    """A program of tests/bench/peers."""

    def run(job: Job, pinned: bool = True) -> Run:
        return _script([sys.executable, "-m", f"tests.bench.peers.{name}"], job, pinned, os.environ)

    return run


def nodemailer(*, compose: bool, warm: bool = True) -> Client:
    """Its pool, with ready bytes or composing each mail; a first fifth lets V8 compile.

    What warms up opens the connections too: `warm=False` where opening them is part of the figure.
    """

    def run(job: Job, pinned: bool = True) -> Run:
        warm_up = max(job.connections, job.count // 5) if warm else 0
        told = replace(job, compose=compose, warm_up=warm_up)
        argv = [mailpeers.node() or "node", str(_PEERS / "nodemailer_pool.mjs")]
        return _script(argv, told, pinned, mailpeers.node_environment())

    return run


def both(client: Client, first: Job, second: Job) -> Run:
    """Two processes of one client at the same time, on whatever core is free."""
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(lambda job: client(job, False), (first, second)))
    mails = sum(run.mails for run in runs)
    return Run(mails, max(run.seconds for run in runs), sum(run.cpu_seconds for run in runs))


def _script(argv: list[str], job: Job, pinned: bool, env: Mapping[str, str]) -> Run:
    told = replace(job, content_file=job.content_file or _content(job, "\r\n"))
    argv = [*_pinned(argv, pinned), json.dumps(asdict(told))]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=_ROOT, check=False)
    if done.returncode:
        raise ClientFailed(f"{argv[:-1]} ended with {done.returncode}\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    kernel = result.get("kernel_seconds", 0.0)
    return Run(result["mails"], result["seconds"], result["cpu_seconds"], kernel)


def pin_argv(core: int, argv: list[str]) -> list[str]:
    """With `taskset`, where there are two cores to part."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core]), *argv] if len(cores) > 1 else argv


def _pinned(argv: list[str], pinned: bool) -> list[str]:
    return pin_argv(CLIENT_CORE, argv) if pinned else argv


_files: dict[tuple[int, str], str] = {}
_folder: list["tempfile.TemporaryDirectory[str]"] = []


def _content(job: Job, newline: str) -> str:
    """The file with the ready mail; removed when this process ends."""
    key = (job.size_bytes, newline)
    if key not in _files:
        if not _folder:
            _folder.append(tempfile.TemporaryDirectory(prefix="bench"))
        file = Path(_folder[0].name) / f"{job.size_bytes}-{len(newline)}.eml"
        file.write_bytes(ready_mail(job.size_bytes).replace(b"\r\n", newline.encode()))
        _files[key] = str(file)
    return _files[key]
