"""Every operation of a service's OpenAPI document, with right and with wrong input: never a 500."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.secrets import KeyRing
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

_KEY = "a-key-for-the-fuzzing-of-apis"
_SERVICES = ("sender_registry", "dispatcher", "tracker", "inbox_watcher", "mail_provisioner")
_EXAMPLES = 40  # of each kind
_FAILURES = (500, 501, 502, 504)  # 503 says that somebody else does not answer
#: Nothing outside is asked, and nothing waits for an answer that cannot come.
_ALONE = {
    "POSTFLEET_SENDER_REGISTRY_VALIDATION_TIMEOUT_SECONDS": "0.3",
    "POSTFLEET_SENDER_REGISTRY_DNS_SERVER": "127.0.0.1:9",
    "POSTFLEET_SENDER_REGISTRY_ISPDB_URL": "",
    "POSTFLEET_DISPATCHER_MX_LOOKUPS": "false",
    "POSTFLEET_MAIL_PROVISIONER_RESOLVER": "127.0.0.1:9",
    "POSTFLEET_MAIL_PROVISIONER_OUTBOUND_PROBES": "127.0.0.1:9",
    "POSTFLEET_MAIL_PROVISIONER_LOGIN_DELAY_SECONDS": "0",
}


async def _apply(url: str) -> None:
    bus = Bus(url, "sender-registry")
    await bus.connect()
    await reconcile.apply(bus.jetstream)
    await bus.stop()


@pytest.fixture(params=_SERVICES)
async def service(
    request: pytest.FixtureRequest,
    own_nats: NatsServer,
    mongo_server: MongoServer,
    tmp_path: Path,
) -> Any:
    """Where the service listens; it runs as a process of its own."""
    await _apply(own_nats.url)
    (port,) = free_ports(1)
    (tmp_path / "mailserver").mkdir()
    env = {
        **os.environ,
        "NATS_URL": own_nats.url,
        "MONGODB_URL": mongo_server.url,
        "POSTFLEET_DATABASE_PREFIX": mongo_server.database("fuzz_"),
        "MASTER_KEY": KeyRing.generate(),
        "POSTFLEET_API_KEY": _KEY,
        "POSTFLEET_HTTP_PORT": str(port),
        "POSTFLEET_DATA_DIR": str(tmp_path),
        "POSTFLEET_MAIL_PROVISIONER_CONFIG_DIR": str(tmp_path / "mailserver"),
        **_ALONE,
    }
    argv = [sys.executable, "-m", request.param]
    process = ServerProcess(argv, tmp_path / "service.log", env)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/readyz", process)
        yield url, process
    finally:
        process.kill()


def _wait(url: str, process: ServerProcess) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        assert process.running, process.tail()
        assert time.monotonic() < deadline, process.tail()
        time.sleep(0.1)


@pytest.mark.timeout(180)
def test_no_input_makes_a_service_fail(service: tuple[str, ServerProcess]) -> None:
    url, process = service
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    headers = {"X-API-Key": _KEY}
    quiet = settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )

    def answered(case: Case) -> None:
        response = case.call(headers=headers, timeout=20)
        told = f"{case.method} {response.request.url} {str(case.body)[:500]}"
        assert response.status_code not in _FAILURES, f"{told}\n{process.tail()}"
        if response.status_code == 422:
            assert response.json()["code"], f"{told}\n{response.text}"

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        quiet(given(case=schema.as_strategy(generation_mode=mode))(answered))()
