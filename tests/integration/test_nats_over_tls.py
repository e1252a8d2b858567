"""The operator's commands over TLS, as `ops`; one node's durability; settings that name the file."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from postfleet.tls import tls_options
from postfleet_cli import plan
from postfleet_cli.datadir import DataDir
from tests.support.certificates import write_certificates
from tests.support.natscluster import NatsCluster
from tests.support.natsdeployed import DeployedNats, password
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

_COMMAND = str(Path(sys.executable).with_name("postfleet"))

pytestmark = pytest.mark.skipif(bool(DeployedNats.missing()), reason=str(DeployedNats.missing()))


@pytest.fixture(scope="module")
def server() -> Iterator[DeployedNats]:
    with DeployedNats() as running:
        done = _postfleet(running, "bus", "apply")
        assert done.returncode == 0, done.stderr
        yield running


def _postfleet(
    server: DeployedNats | NatsCluster, *words: str, ca_file: str | None = None
) -> "subprocess.CompletedProcess[str]":
    env = {
        **os.environ,
        "NATS_URL": server.url,
        "NATS_USER": "ops",
        "NATS_PASSWORD": password("ops"),
        "POSTFLEET_NATS_CA_FILE": server.ca_file if ca_file is None else ca_file,
    }
    return subprocess.run([_COMMAND, *words], env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "words",
    [
        ("bus", "apply"),
        ("bus", "rebuild", "tracker"),
        ("events", "replay"),
        ("dead-letters", "list"),
        ("dead-letters", "drop", "--durable", "tracker-events", "--yes"),
        ("dead-letters", "replay", "--durable", "tracker-events"),
    ],
    ids=" ".join,
)
def test_ops_may_do_what_its_commands_do(server: DeployedNats, words: tuple[str, ...]) -> None:
    done = _postfleet(server, *words)
    assert done.returncode == 0, done.stderr


def test_a_command_that_does_not_know_the_authority_ends_with_one_line(
    server: DeployedNats,
) -> None:
    done = _postfleet(server, "dead-letters", "list", ca_file="")
    assert done.returncode == 69
    assert "certificate" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def expired() -> Iterator[DeployedNats]:
    server = DeployedNats()
    folder = Path(server.ca_file).parent
    made = write_certificates(folder, ["localhost"], valid_for=timedelta(minutes=-5))
    for new, old in zip(made, ("ca.crt", "tls.crt", "tls.key"), strict=True):
        new.replace(folder / old)
    with server:
        yield server


def test_an_expired_certificate_is_named_in_one_line(expired: DeployedNats) -> None:
    done = _postfleet(expired, "dead-letters", "list")
    assert done.returncode == 69
    assert "certificate has expired" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bus_apply_makes_three_copies_in_a_cluster() -> None:
    with NatsCluster() as cluster:
        done = _postfleet(cluster, "bus", "apply", "--replicas", "3")
    assert done.returncode == 0, done.stderr
    assert "stream EVENTS created" in done.stdout


def test_addresses_without_tls_take_no_certificates(server: DeployedNats) -> None:
    assert tls_options("nats://127.0.0.1:4222", None) == {}
    assert tls_options(server.url, server.ca_file)["tls_handshake_first"] is True


def test_the_embedded_node_writes_to_disk_before_it_confirms(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "data")
    data.open()
    port, monitor = free_ports(2)
    program = plan.nats(data, port, os.environ)
    node = ServerProcess([*program.argv, "-m", str(monitor)], tmp_path / "log", program.env)
    try:
        node.wait_until(lambda: _config(monitor) is not None, "JetStream")
        effective = _config(monitor)
        assert effective is not None
        assert effective["sync_always"] is True
    finally:
        node.kill()
        data.close()


def _config(monitor: int) -> dict[str, object] | None:
    """JetStream's effective configuration, once it answers."""
    try:
        address = f"http://127.0.0.1:{monitor}/jsz?config=1"
        with urllib.request.urlopen(address, timeout=2) as answer:
            found: dict[str, object] | None = json.load(answer).get("config")
            return found
    except OSError:
        return None


def test_a_service_says_which_variable_names_no_file() -> None:
    env = {
        "PATH": os.environ["PATH"],
        "NATS_URL": "tls://nats:4222",
        "MONGODB_URL": "mongodb://mongo:27017",
        "MASTER_KEY": "A" * 43 + "=",
        "POSTFLEET_API_KEY": "a-key-for-this-test-only",
        "POSTFLEET_NATS_CA_FILE": "/nowhere/ca.crt",
    }
    command = [sys.executable, "-m", "tracker"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 78
    assert done.stderr.strip().endswith(
        "POSTFLEET_NATS_CA_FILE: /nowhere/ca.crt is no file that can be read"
    )


def test_the_tests_own_server_is_as_durable() -> None:
    with NatsServer() as server:
        effective = _config(server.monitor_port)
    assert effective is not None
    assert effective["sync_always"] is True
