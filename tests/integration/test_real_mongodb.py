"""Every store's spec on a real MongoDB, a replica set as in production: no promise rests on a stand-in.

`MONGODB_URL` names one; otherwise a container engine runs one. Without either these are skipped.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

ROOT = Path(__file__).parents[2]
_SPECS = (
    "tests/unit/dispatcher/test_stores_of_the_ledger.py",
    "tests/unit/dispatcher/test_stores_of_the_flow.py",
    "tests/unit/dispatcher/test_stores_of_people.py",
    "tests/unit/dispatcher/test_stores_of_brakes.py",
    "tests/unit/dispatcher/test_stores_of_the_planner.py",
    "tests/unit/dispatcher/test_store_of_messages.py",
    "tests/unit/mail_provisioner/test_store.py",
    "tests/unit/common/test_idempotency.py",
    "tests/integration/inbox_watcher/test_stores.py",
    "tests/integration/test_sender_registry_stores.py",
    "tests/integration/test_outbox.py",
)

pytestmark = [pytest.mark.real_mongo, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a MongoDB that says itself that it is one."""
    if given := os.environ.get("MONGODB_URL"):
        if not _is_real(given):
            pytest.skip("MONGODB_URL does not name a real MongoDB that answers")
        yield given
        return
    if reason := _no_engine():
        pytest.skip(reason)
    yield from _in_a_container()


def _is_real(url: str) -> bool:
    """MongoDB counts its storage engine among what it says; what stands in for it does not."""
    try:
        with MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=3000) as client:
            return "wiredTiger" in client.admin.command("serverStatus")
    except PyMongoError:
        return False


def _no_engine() -> str | None:
    try:
        import docker

        docker.from_env(timeout=5).ping()
    except Exception as error:
        return f"no MONGODB_URL, and no container engine: {type(error).__name__}"
    return None


def _image() -> str:
    """The one that compose runs."""
    found = re.search(r"image: (mongo:\S+)", (ROOT / "docker-compose.yml").read_text())
    assert found
    return found[1]


def _in_a_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    command = "--replSet rs0 --bind_ip_all"
    with DockerContainer(_image()).with_command(command).with_exposed_ports(27017) as running:
        wait_for_logs(running, "Waiting for connections", timeout=60)
        code, said = running.exec(["mongosh", "--quiet", "--eval", "rs.initiate()"])
        assert code == 0, said
        host, port = running.get_container_host_ip(), running.get_exposed_port(27017)
        url = f"mongodb://{host}:{port}/?directConnection=true"
        with MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=30_000) as client:
            while not client.admin.command("hello").get("isWritablePrimary"):
                time.sleep(0.2)
        yield url


@pytest.mark.parametrize("spec", _SPECS)
def test_a_stores_spec_holds_on_a_real_mongodb(spec: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "not mongomock and not double", spec],
        cwd=ROOT,
        env={**os.environ, "MONGODB_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\d+ passed", done.stdout)


def test_the_server_is_a_real_one_and_part_of_a_replica_set(url: str) -> None:
    with MongoClient[dict[str, object]](url) as client:
        assert _is_real(url)
        assert client.admin.command("hello").get("setName"), "production's write concerns need one"
