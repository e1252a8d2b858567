"""The files that make NATS: written from the topology, accepted by the server, certificates made once."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.support.natsdeployed import (
    CONFIGURATION,
    USERS,
    DeployedNats,
    make_certificates,
    password,
    placed,
    variable,
)

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(bool(DeployedNats.missing()), reason=str(DeployedNats.missing()))


def _render() -> Any:
    spec = importlib.util.spec_from_file_location("render", ROOT / "deploy/nats/render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_topology_says() -> None:
    render, remedy = _render(), f"run {Path(sys.executable).name} deploy/nats/render.py --write"
    assert CONFIGURATION.read_text() == render.render(), remedy
    assert (ROOT / "docs/permissions.md").read_text() == render.table(), remedy


def _check(folder: Path, file: str = "nats.conf") -> "subprocess.CompletedProcess[str]":
    """Let the server look at a configuration file, with certificates that a test has made."""
    make_certificates(folder / "tls")
    for name in ("nats.conf", "cluster.conf"):
        text = (CONFIGURATION.parent / name).read_text()
        (folder / name).write_text(placed(text, folder / "tls"))
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    command = [str(binary), "-t", "-c", str(folder / file)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("file", ["nats.conf", "cluster.conf"])
def test_the_server_accepts_the_file(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in USERS:
        monkeypatch.setenv(variable(user), password(user))
    result = _check(tmp_path, file)
    assert result.returncode == 0, result.stderr


def test_a_password_that_is_not_set_stops_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in USERS:
        monkeypatch.setenv(variable(user), password(user))
    monkeypatch.delenv("DISPATCHER_PASSWORD")
    result = _check(tmp_path)
    assert result.returncode != 0
    assert "DISPATCHER_PASSWORD" in result.stderr


def test_certificates_are_made_once_and_their_key_is_private(tmp_path: Path) -> None:
    make_certificates(tmp_path / "tls", ["nats", "nats-1"])
    made = {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()}
    assert set(made) == {"ca.crt", "tls.crt", "tls.key"}, "the authority's key is forgotten"
    assert (tmp_path / "tls/tls.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls/ca.crt").stat().st_mode & 0o777 == 0o644
    make_certificates(tmp_path / "tls", ["another"])
    assert {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()} == made
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "tls/tls.crt"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "DNS:nats, DNS:nats-1" in text
    assert "CA:FALSE" in text
