"""A service whose NATS and MongoDB are away when it starts: it waits, says for what, and ends well."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from postfleet.secrets import KeyRing
from tests.support.ports import free_ports

_SECONDS = 90  # a start takes some; the machine may be busy with other tests


class _Started:
    def __init__(self, module: str, folder: Path) -> None:
        self.http, self.nats, self.mongo = free_ports(3)
        self._log = folder / "log"
        env = {
            **os.environ,
            "NATS_URL": f"nats://127.0.0.1:{self.nats}",
            "MONGODB_URL": f"mongodb://127.0.0.1:{self.mongo}",
            "MASTER_KEY": KeyRing.generate(),
            "POSTFLEET_API_KEY": "pf_bootstrap_for_a_test",
            "POSTFLEET_HTTP_PORT": str(self.http),
            "POSTFLEET_DATA_DIR": str(folder),
            "POSTFLEET_TRACKER_SPOOL_DIR": str(folder / "spool"),
        }
        with self._log.open("w") as log:
            command = [sys.executable, "-m", module]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> httpx.Response | None:
        try:
            url = f"http://127.0.0.1:{self.http}{path}"
            return httpx.get(url, timeout=15, trust_env=False)
        except httpx.HTTPError:
            return None

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not true():
            assert self.process.poll() is None, f"ended\n{self.said}"
            assert time.monotonic() < deadline, f"not {what}\n{self.said}"
            time.sleep(0.1)


@pytest.fixture(params=["dispatcher", "sender_registry"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Started]:
    started = _Started(request.param, tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


def test_it_waits_says_for_what_and_is_not_ready(service: _Started) -> None:
    service.wait_until(lambda: service.get("/healthz") is not None, "alive")
    service.wait_until(lambda: "waiting for MongoDB" in service.said, "waiting, and saying so")
    ready = service.get("/readyz")
    assert ready is not None
    assert ready.status_code == 503
    assert ready.json()["checks"]["bus"] == "failing"
    assert ready.json()["checks"]["database"] == "failing"
    metrics = service.get("/metrics")
    assert metrics is not None
    assert 'postfleet_ready{service="' in metrics.text
    assert "} 0.0" in metrics.text.split("postfleet_ready{", 1)[1].splitlines()[0]
    assert "Traceback" not in service.said, "an outage is no defect"

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=60) == 0, service.said
