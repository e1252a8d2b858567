"""What `postfleet doctor` finds, case by case, and what it says to do."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from postfleet_cli.datadir import DataDir
from postfleet_cli.doctor import certificates, machine
from postfleet_cli.doctor.findings import State
from postfleet_cli.main import app
from tests.support.ports import free_ports

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
GIB = 1024**3


@pytest.mark.parametrize(
    ("free", "state"),
    [
        pytest.param(5 * GIB, "ok", id="at the limit of little"),
        pytest.param(5 * GIB - 1, "warning", id="just under it"),
        pytest.param(512 * 1024**2, "warning", id="at the limit of nothing"),
        pytest.param(512 * 1024**2 - 1, "trouble", id="nothing left"),
    ],
)
def test_a_disk_is_judged_by_what_is_free(tmp_path: Path, free: int, state: str) -> None:
    (found,) = machine.data_directory(DataDir(tmp_path), lambda _: (100 * GIB, free))
    assert found.state == state
    assert bool(found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("environ", "kept", "state", "words"),
    [
        pytest.param({"MASTER_KEY": GOOD_KEY}, None, "ok", "well-formed", id="in the environment"),
        pytest.param({}, GOOD_KEY, "ok", "well-formed", id="kept in the directory"),
        pytest.param({"MASTER_KEY": "short"}, None, "trouble", "base64", id="malformed"),
        pytest.param({}, None, "trouble", "missing", id="missing, with data"),
        pytest.param(
            {"MASTER_KEY": f"{GOOD_KEY},{GOOD_KEY[:-4]}NTQ="},
            None,
            "warning",
            "2 keys",
            id="rotating",
        ),
    ],
)
def test_a_master_key_is_looked_at_and_never_shown(
    tmp_path: Path, environ: dict[str, str], kept: str | None, state: str, words: str
) -> None:
    data = DataDir(tmp_path)
    data.mongo.mkdir()
    if kept:
        data.master_key.write_text(kept)
        data.master_key.chmod(0o600)
    (found,) = machine.keys(data, environ)
    assert (found.state, words in found.detail) == (state, True), found
    assert GOOD_KEY not in found.detail + found.remedy


def test_a_key_file_that_others_can_read_is_trouble(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.api_key.write_text("x" * 20)
    data.api_key.chmod(0o644)
    assert [f.remedy for f in machine.keys(data, {}) if f.state is State.TROUBLE] == [
        f"chmod 600 {data.api_key}"
    ]


@pytest.mark.parametrize(
    ("offset", "state"),
    [(0.0, "ok"), (-1.9, "ok"), (2.0, "warning"), (-29.9, "warning"), (30.0, "trouble")],
)
def test_a_clock_is_judged_by_the_one_that_differs_most(offset: float, state: str) -> None:
    found = machine.clock({"the database": 0.1, "the world (NTP)": offset})
    assert found.state == state
    assert machine.clock({}).state is State.SKIPPED


def test_an_http_date_has_whole_seconds_and_no_more_blame_than_that() -> None:
    at = NOW + timedelta(milliseconds=900)
    assert machine.date_offset("Sat, 21 Nov 2026 12:00:00 GMT", at) == 0
    assert machine.date_offset("Sat, 21 Nov 2026 12:01:00 GMT", at) == pytest.approx(59.1)
    assert machine.date_offset("not a date", NOW) is None
    assert machine.date_offset(None, NOW) is None


def test_a_port_answers_or_is_free_or_is_somebody_elses() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        running = machine.port("port", "127.0.0.1", number, "--x", running=True)
        stranger = machine.port("port", "127.0.0.1", number, "--x", running=False)
    (free,) = free_ports(1)
    silent = machine.port("port", "127.0.0.1", free, "--x", running=True)
    unused = machine.port("port", "127.0.0.1", free, "--x", running=False)
    states = [one.state.value for one in (running, stranger, silent, unused)]
    assert states == ["ok", "trouble", "trouble", "ok"]
    assert "--x PORT" in stranger.remedy


def test_a_resolver_that_finds_nothing_is_told() -> None:
    def nothing(_: str) -> None:
        raise OSError("Temporary failure in name resolution")

    assert machine.names(nothing).state is State.WARNING
    assert machine.names(lambda _: None).state is State.OK


@pytest.mark.parametrize(
    ("days", "state"),
    [(-1, "trouble"), (0, "trouble"), (13, "warning"), (14, "ok")],
)
def test_a_certificate_is_judged_by_how_long_it_has_to_go(days: int, state: str) -> None:
    assert certificates.judge("c", NOW + timedelta(days=days), NOW, "renew").state == state


def test_a_certificate_that_cannot_be_read_and_a_public_address_without_tls(tmp_path: Path) -> None:
    environ = {"POSTFLEET_NATS_CA_FILE": str(tmp_path / "no.pem")}
    environ |= {"POSTFLEET_PUBLIC_URL": "http://mail.example.com"}
    file, public = certificates.look(environ, NOW)
    assert (file.state, public.state) == (State.TROUBLE, State.WARNING)
    assert certificates.look({}, NOW)[0].state is State.SKIPPED


def test_where_nothing_runs_doctor_says_so_and_trouble_is_exit_code_1(tmp_path: Path) -> None:
    http, smtp, nats, mongo = map(str, free_ports(4))
    ports = ["--smtp-port", smtp, "--nats-port", nats, "--mongo-port", mongo]
    env = {"POSTFLEET_URL": f"http://127.0.0.1:{http}", "NATS_URL": "", "MONGODB_URL": ""}
    healthy = CliRunner().invoke(
        app, ["doctor", "--json", "--data", str(tmp_path / "none"), *ports], env=env
    )
    assert healthy.exit_code == 0, healthy.output
    told = json.loads(healthy.stdout)
    assert told["ok"]
    assert {"check", "state", "detail", "remedy"} == set(told["findings"][0])
    assert "start it with `postfleet up`" in healthy.stdout
    sick = CliRunner().invoke(
        app,
        ["doctor", "--json", "--data", str(tmp_path / "none"), *ports],
        env={**env, "MASTER_KEY": "short"},
    )
    assert sick.exit_code == 1
    assert not json.loads(sick.stdout)["ok"]


def test_servers_that_do_not_answer_are_trouble_with_a_remedy(tmp_path: Path) -> None:
    http, nats, mongo = free_ports(3)
    env = {
        **os.environ,
        "POSTFLEET_URL": f"http://127.0.0.1:{http}",
        "NATS_URL": f"nats://127.0.0.1:{nats}",
        "MONGODB_URL": f"mongodb://127.0.0.1:{mongo}/",
    }
    command = [str(Path(sys.executable).with_name("postfleet")), "doctor", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1, done.stderr
    bad = {f["check"]: f for f in json.loads(done.stdout)["findings"] if f["state"] == "trouble"}
    assert {"NATS", "MongoDB"} <= set(bad)
    assert all(one["remedy"] for one in bad.values())
