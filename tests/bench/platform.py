"""The platform at rest: until `postfleet up` is ready on a warm machine, and the memory it then has."""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.bench.figures import Figure, figure
from tests.support.platform import Platform

PROGRAMS = (
    *("sender_registry", "dispatcher", "inbox_watcher", "tracker", "mail_provisioner"),
    *("tracker.consumer", "postfleet.nursery"),
)
_SETTLED_SECONDS = 5.0  # after it is ready: the first looks at everything are over


def results(quick: bool) -> Iterator[Figure]:
    ready, resident, proportional = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _start(
            data, 0
        )  # the first start makes keys, streams and indexes, and warms the disk's cache
        for _ in range(1 if quick else 3):
            seconds, rss, pss = _start(data)
            ready.append(seconds)
            resident.append(rss)
            proportional.append(pss)
    yield figure("postfleet up until ready, warm", ready, "s", goal="< 10")
    yield figure("five idle services, shared pages in parts", proportional, "MB", goal="< 400")
    yield figure("five idle services, shared pages in each", resident, "MB")


def _start(data: Path, settled: float = _SETTLED_SECONDS) -> tuple[float, float, float]:
    """Seconds until ready; resident and proportional megabytes of the services and their children."""
    began = time.monotonic()
    with Platform(data) as up:
        up.wait_until(lambda: _is_ready(up), 120, "readiness")
        seconds = time.monotonic() - began
        time.sleep(settled)
        found = [memory(pid) for name in PROGRAMS if (pid := up.pid(name)) is not None]
        assert len(found) == len(PROGRAMS)
    return seconds, sum(rss for rss, _ in found), sum(pss for _, pss in found)


def _is_ready(up: Platform) -> bool:
    try:
        return httpx.get(f"{up.url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def memory(pid: int) -> tuple[float, float]:
    """Megabytes: all that is resident, and with pages shared by n processes counted as 1/n."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"(?m)^(Rss|Pss):\s+(\d+) kB", rollup))
    return int(found["Rss"]) / 1024, int(found["Pss"]) / 1024
