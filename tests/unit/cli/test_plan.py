"""What `postfleet up` would run, without running it."""

import json
import sys
from pathlib import Path

import pytest

from postfleet_cli import plan
from postfleet_cli.child import Program
from postfleet_cli.datadir import DataDir, Keys
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.plan import Options
from postfleet_cli.routes import SERVICES

_KEYS = Keys("master", "api-key", "a file")


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


def _services(
    data: DataDir, environ: dict[str, str], ca_file: str | None = None, *, demo: bool = False
) -> dict[str, Program]:
    options = Options(demo=demo, http_port=8181, smtp_port=2525)
    where = plan.addresses(options, environ)
    programs = plan.services(options, data, where, _KEYS, ca_file, environ)
    return {program.name: program for program in programs}


def test_each_service_has_its_own_port_and_the_same_servers(data: DataDir) -> None:
    programs = _services(data, {})
    assert tuple(programs) == SERVICES
    assert programs["inbox-watcher"].argv == (sys.executable, "-m", "inbox_watcher")
    assert len({p.env["POSTFLEET_HTTP_PORT"] for p in programs.values()}) == 5
    env = programs["dispatcher"].env
    assert env["NATS_URL"] == "nats://127.0.0.1:4222"
    assert env["MONGODB_URL"] == "mongodb://127.0.0.1:27017/?w=1"
    assert (env["MASTER_KEY"], env["POSTFLEET_API_KEY"]) == ("master", "api-key")
    assert env["POSTFLEET_HTTP_HOST"] == "127.0.0.1"
    assert env["POSTFLEET_PUBLIC_URL"] == "http://127.0.0.1:8181"
    assert env["POSTFLEET_DATA_DIR"] == str(data.path)
    assert env["POSTFLEET_TRACKER_SPOOL_DIR"] == str(data.path / "spool")
    assert env["POSTFLEET_DISPATCHER_SMTP_PORT"] == "2525"
    assert env["POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS"] == "127.0.0.0/8,::1/128"
    assert env["POSTFLEET_TRACKER_WEBHOOK_NETWORKS"] == "127.0.0.0/8,::1/128"
    assert "POSTFLEET_TLS_CA_FILE" not in env


def test_the_environment_decides_what_the_command_line_does_not(data: DataDir) -> None:
    environ = {
        "POSTFLEET_PUBLIC_URL": "https://mail.example.org",
        "NATS_URL": "nats://other:4222",
        "NATS_USER": "everything",
        "POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS": "10.0.0.0/8",
        "POSTFLEET_TRACKER_WEBHOOK_NETWORKS": "",
    }
    env = _services(data, environ)["tracker"].env
    assert {name: env[name] for name in environ} == environ


def test_an_empty_public_address_is_as_good_as_none(data: DataDir) -> None:
    env = _services(data, {"POSTFLEET_PUBLIC_URL": ""})["tracker"].env
    assert env["POSTFLEET_PUBLIC_URL"].startswith("http://127.0.0.1:")


def test_a_user_of_another_nats_is_none_of_the_embedded_one(data: DataDir) -> None:
    assert "NATS_USER" not in _services(data, {"NATS_USER": "ops"})["tracker"].env


def test_the_mail_world_is_trusted_only_where_it_runs(data: DataDir) -> None:
    assert _services(data, {}, "/ca.pem")["dispatcher"].env["POSTFLEET_TLS_CA_FILE"] == "/ca.pem"


def test_only_the_demo_is_in_a_hurry(data: DataDir) -> None:
    ramp = "POSTFLEET_SENDER_REGISTRY_ENFORCE_AGE_RAMP"
    assert _services(data, {}, demo=True)["sender-registry"].env[ramp] == "false"
    assert ramp not in _services(data, {})["sender-registry"].env


def test_the_gateway_knows_every_service(data: DataDir) -> None:
    where = plan.addresses(Options(http_port=8181), {})
    env = plan.gateway(where, {}).env
    assert env["POSTFLEET_HTTP_PORT"] == "8181"
    for service, port in where.service_ports.items():
        variable = f"POSTFLEET_GATEWAY_{service.upper().replace('-', '_')}_URL"
        assert env[variable] == f"http://127.0.0.1:{port}"


def test_nats_listens_on_loopback_and_syncs_every_write(data: DataDir) -> None:
    program = plan.nats(data, 4333, {})
    config = Path(program.argv[2]).read_text()
    assert 'listen: "127.0.0.1:4333"' in config
    assert "sync_interval: always" in config
    assert json.dumps(str(data.nats)) in config


def _mongod(folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "mongod").touch(0o755)
    return {"PATH": str(folder)}


def test_a_real_mongodb_is_preferred_to_the_embedded_one(data: DataDir, tmp_path: Path) -> None:
    assert "postfleet_cli.quiet_database" in plan.database(data, 27017, {"PATH": "/nowhere"}).argv
    other = DataDir(tmp_path / "other")
    other.path.mkdir()
    assert plan.database(other, 27017, _mongod(tmp_path / "bin")).argv[0].endswith("/mongod")


def test_data_stays_with_the_server_that_wrote_it(data: DataDir, tmp_path: Path) -> None:
    plan.database(data, 27017, {"PATH": "/nowhere"})
    program = plan.database(data, 27017, _mongod(tmp_path / "bin"))
    assert str(data.mongo) in program.argv


def test_a_mongodb_that_went_away_is_missed(data: DataDir, tmp_path: Path) -> None:
    plan.database(data, 27017, _mongod(tmp_path / "bin"))
    with pytest.raises(Refused, match="no mongod on PATH") as caught:
        plan.database(data, 27017, {"PATH": "/nowhere"})
    assert caught.value.code == ExitCode.UNAVAILABLE


def test_the_mail_world_comes_back_on_the_ports_that_senders_are_registered_with(
    data: DataDir,
) -> None:
    first = plan.sandbox(data, {}).argv
    ports = {name: int(first[first.index(f"--{name}-port") + 1]) for name in ("smtp", "imap")}
    data.sandbox.mkdir()
    said = {"smtp_port": ports["smtp"], "smtps_port": 1, "imap_port": ports["imap"]}
    said |= {"smtps_port": ports["smtp"] + 1, "control_port": ports["imap"] + 1}
    (data.sandbox / "sandbox.json").write_text(json.dumps(said))
    again = plan.sandbox(data, {}).argv
    assert {name: int(again[again.index(f"--{name}-port") + 1]) for name in ports} == ports
