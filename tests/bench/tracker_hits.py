"""Pixels and clicks a second beside nginx, which serves the same bytes on the same one core.

`wrk` runs on the other core. The tracker is one process as the service starts it, with its consumers,
JetStream and the database; the servers share wrk's core.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.reconcile import apply
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.bench.figures import Figure, figure
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess
from tests.support.tracker import API_KEY, compiled, new_id, sent
from tracker.api.tracking import PIXEL

_KEY = b64encode(bytes(range(32))).decode()
_LINK, _TARGET = "00112233445566aa", "https://example.com/offer?a=1"
_CONNECTIONS = 32
_NGINX = """
daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;
  open_file_cache max=100 inactive=1h;
  client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;
  uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;
  server {{
    listen 127.0.0.1:{port};
    location /o/ {{
      root {root}; types {{ image/gif gif; }}
      add_header Cache-Control "no-store, no-cache, must-revalidate, private, max-age=0";
    }}
    location /c/ {{ return 302 {target}; }}
  }}
}}
"""


def _pinned(core: int, *argv: str) -> list[str]:
    return ["taskset", "-c", str(core), *argv]


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did for wrk; its CPU is that of all its processes."""

    rate: float  # requests a second
    cpu_us: float  # a request


def _load(url: str, seconds: int, pids: Callable[[], list[int]]) -> Load:
    """Over 32 connections."""
    before = sum(map(_cpu_seconds, pids()))
    run = subprocess.run(
        _pinned(1, "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--timeout", "5s", url),
        capture_output=True,
        text=True,
        check=True,
    )
    used = sum(map(_cpu_seconds, pids())) - before
    rate, count = (
        re.search(pattern, run.stdout)
        for pattern in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests")
    )
    assert rate, run.stdout
    assert count, run.stdout
    assert "Non-2xx" not in run.stdout, run.stdout
    return Load(float(rate[1]), used / int(count[1]) * 1e6)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    """A process and its children: nginx's worker, the tracker's consumer."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _p99_at_half(url: str, rate: float, seconds: int) -> float:
    """The 99th percentile in milliseconds at half the rate, asked by h2load over 32 connections.

    A connection that waits for an answer asks for nothing meanwhile: what it should have asked for
    is counted as well, as late as it would have been.
    """
    each = rate / 2 / _CONNECTIONS
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        options = ("--h1", "-t1", f"-c{_CONNECTIONS}", f"--rps={each:.0f}", f"-D{seconds}")
        run = subprocess.run(
            _pinned(1, "h2load", *options, f"--log-file={log}", url),
            capture_output=True,
            check=True,
        )
        lines = [line.split() for line in log.read_text().splitlines()]
    assert {line[1] for line in lines} <= {"200", "302"}, run.stdout.decode()
    late = [ms for line in lines for ms in _waits(int(line[2]) / 1000, 1000 / each)]
    return sorted(late)[int(len(late) * 0.99)]


def _waits(milliseconds: float, interval: float) -> Iterator[float]:
    """A request's time, and those of the requests that it held up."""
    while milliseconds > 0:
        yield milliseconds
        milliseconds -= interval


async def _prepare(nats: str) -> str:
    bus = Bus(nats, "dispatcher")
    await bus.connect()
    await apply(bus.jetstream)
    delivery = new_id()
    await bus.publish(Announcement(compiled({_LINK: _TARGET})), Announcement(sent(delivery)))
    await bus.stop()
    return delivery


def _tracker(nats: str, mongo: str, root: Path, port: int) -> ServerProcess:
    env = {
        **os.environ,
        "NATS_URL": nats,
        "MONGODB_URL": mongo,
        "MASTER_KEY": _KEY,
        "POSTFLEET_API_KEY": API_KEY,
        "POSTFLEET_HTTP_PORT": str(port),
        "POSTFLEET_DATABASE_PREFIX": f"bench_{uuid.uuid4().hex[:6]}_",
        "POSTFLEET_TRACKER_SPOOL_DIR": str(root / "spool"),
        "POSTFLEET_TRACKER_HITS_PER_SECOND": "1000000",
        "POSTFLEET_TRACKER_HITS_BURST": "1000000",
        "POSTFLEET_LOG_LEVEL": "ERROR",
    }
    return ServerProcess(_pinned(0, sys.executable, "-m", "tracker"), root / "tracker.log", env)


def _nginx(root: Path, port: int) -> ServerProcess:
    (root / "o").mkdir()
    (root / "o" / "x.gif").write_bytes(PIXEL)
    (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port, target=_TARGET))
    argv = _pinned(0, "nginx", "-c", str(root / "nginx.conf"))
    return ServerProcess(argv, root / "nginx.log")


def _ready(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urlopen(url, timeout=2).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Rival:
    url: str
    pid: int

    def load(self, seconds: int) -> Load:
        return _load(self.url, seconds, lambda: _family(self.pid))


def _figures(
    name: str, ours: Rival, theirs: Rival, times: tuple[int, int], goal: str
) -> list[Figure]:
    seconds, rounds = times
    own, peers, late = [], [], []
    for _ in range(rounds):
        peers.append(theirs.load(seconds))
        own.append(ours.load(seconds))
        late.append(_p99_at_half(ours.url, own[-1].rate, seconds))
    return [
        figure(
            f"tracker: {name}",
            [load.rate for load in own],
            "requests/s",
            peer=[load.rate for load in peers],
            against="nginx, one core each",
            goal=goal,
        ),
        figure(
            f"tracker: {name}, CPU of the server with its consumer",
            [load.cpu_us for load in own],
            "µs/request",
            peer=[load.cpu_us for load in peers],
            against="nginx",
        ),
        figure(f"tracker: {name}, p99 at half that rate", late, "ms", goal="< 20"),
    ]


def results(quick: bool) -> list[Figure]:
    """Nothing where nginx, wrk or taskset is missing, or there is one core only."""
    if (
        not all(map(shutil.which, ("nginx", "wrk", "h2load", "taskset")))
        or (os.cpu_count() or 1) < 2
    ):
        print("  tracker_hits needs nginx, wrk, h2load, taskset and two cores", flush=True)
        return []
    seconds, rounds = (2, 1) if quick else (2, 5)
    root = Path(tempfile.mkdtemp(prefix="hits"))
    root.chmod(0o755)  # nginx serves it as somebody else
    ours, theirs = free_ports(2)
    with NatsServer() as nats, MongoServer() as mongo:
        delivery = asyncio.run(_prepare(nats.url))
        keys = TokenKeys(KeyRing.parse(_KEY))
        paths = {
            "pixels": (f"/o/{keys.make(Purpose.OPEN, delivery)}.gif", "/o/x.gif", ">= 0.4 x"),
            "clicks": (f"/c/{keys.make(Purpose.CLICK, delivery, _LINK)}", "/c/x", ">= 0.3 x"),
        }
        tracker, nginx = _tracker(nats.url, mongo.url, root, ours), _nginx(root, theirs)
        try:
            _ready(f"http://127.0.0.1:{ours}/readyz")
            _ready(f"http://127.0.0.1:{theirs}/o/x.gif")
            return [
                found
                for name, (our_path, their_path, goal) in paths.items()
                for found in _figures(
                    name,
                    Rival(f"http://127.0.0.1:{ours}{our_path}", tracker.pid),
                    Rival(f"http://127.0.0.1:{theirs}{their_path}", nginx.pid),
                    (seconds, rounds),
                    goal,
                )
            ]
        finally:
            for server in (tracker, nginx):
                server.kill()
            shutil.rmtree(root, ignore_errors=True)
