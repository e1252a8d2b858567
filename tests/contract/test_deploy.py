"""Compose, image and repository files: valid, and as careful as we say they are.

There is no container engine here; what only an engine can show is the job `compose` in
.github/workflows/ci.yml.
"""

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatcher.settings import Settings as DispatcherSettings
from postfleet import tracing

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())
OURS = [*SERVICES, "gateway", "bus-apply", "migrate", "certs"]
ONE_SHOT = ["mongo-init", "bus-apply", "migrate", "certs"]
NODES = ["nats-1", "nats-2", "nats-3"]
REMEDY = "Run deploy/make-env"


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


COMPOSE = _compose()["services"]
WORKFLOW = ROOT / ".github/workflows/ci.yml"


def _run(
    *command: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, env=env
    )


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "docker-compose.yml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("custom.github-workflows-require-timeout", ".github/workflows/ci.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
    ],
)
def test_the_file_follows_its_published_schema(schema: str, file: str) -> None:
    result = _run(SCRIPTS / "check-jsonschema", "--builtin-schema", schema, file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_runs_every_service_there_is() -> None:
    servers = {"nats", *NODES, "mongo", "mongo-init", "prometheus", "grafana"}
    assert set(COMPOSE) == {*OURS, *servers}


@pytest.mark.parametrize("name", COMPOSE)
def test_a_container_is_bounded_hardened_and_comes_back(name: str) -> None:
    service = COMPOSE[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))
    expected = "on-failure:5" if name in ONE_SHOT else "unless-stopped"
    assert service["restart"] == expected
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", [name for name in COMPOSE if name not in ONE_SHOT])
def test_a_container_says_whether_it_is_ready(name: str) -> None:
    check = COMPOSE[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize("name", COMPOSE)
def test_an_image_has_a_version(name: str) -> None:
    image = COMPOSE[name]["image"]
    tag = image.split(":", 1)[1]
    assert "latest" not in tag
    assert re.search(r"\d+\.\d+\.\d+", tag), f"{image}: all three numbers"
    assert "bitnami" not in image


def test_containers_start_in_order() -> None:
    for service in SERVICES:
        assert COMPOSE[service]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "bus-apply": {"condition": "service_completed_successfully"},
        }
    healthy = {"condition": "service_healthy"}
    assert COMPOSE["gateway"]["depends_on"] == dict.fromkeys(SERVICES, healthy)
    chosen = {**healthy, "required": False}  # those that the profile leaves out are not waited for
    assert COMPOSE["bus-apply"]["depends_on"] == dict.fromkeys(["nats", *NODES], chosen)
    for node in ["nats", *NODES]:
        done = {"condition": "service_completed_successfully"}
        assert COMPOSE[node]["depends_on"] == {"certs": done}
    assert COMPOSE["mongo-init"]["depends_on"] == {"mongo": healthy}
    done = {"condition": "service_completed_successfully"}
    assert COMPOSE["migrate"]["depends_on"] == {"mongo-init": done}
    assert COMPOSE["migrate"]["command"] == ["migrate", "--yes"]


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_a_drain_has_its_time(name: str) -> None:
    assert COMPOSE[name]["stop_grace_period"] == ("660s" if name == "dispatcher" else "45s")


def test_the_dispatchers_drain_outlasts_the_longest_reply() -> None:
    longest = DispatcherSettings.model_fields["final_reply_timeout_seconds"].default
    assert int(COMPOSE["dispatcher"]["stop_grace_period"].removesuffix("s")) > longest + 30


def test_prometheus_and_grafana_are_a_profile() -> None:
    assert COMPOSE["prometheus"]["profiles"] == COMPOSE["grafana"]["profiles"] == ["observability"]


def test_other_servers_are_told_a_name_that_the_operator_chose() -> None:
    """The default is a container's own name, which nobody can look up."""
    said = COMPOSE["dispatcher"]["environment"]["POSTFLEET_DISPATCHER_EHLO_HOSTNAME"]
    assert said.startswith("${POSTFLEET_EHLO_HOSTNAME")


class _Watched:
    """deploy/nats/watch around a server of shell, with a health check that the test answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.health = folder, 200
        server = folder / "nats-server"
        server.write_text(
            '#!/bin/sh\necho "$@" > "$0.args"\ntrap "exit 3" TERM\nwhile :; do sleep 0.05; done\n'
        )
        wget = folder / "wget"
        wget.write_text(f"#!/bin/sh\necho >> {folder}/asked\ntest -e {folder}/well\n")
        for script in (server, wget):
            script.chmod(0o755)
        (folder / "well").touch()
        path = f"{folder}:{os.environ['PATH']}"
        env = {"PATH": path, "NATS_HEALTH_SECONDS": "0.05", "NATS_HEALTH_FAILURES": "4"}
        command = ["sh", str(ROOT / "deploy/nats/watch"), "--config", "x"]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)

    def asked(self) -> int:
        notes = self.folder / "asked"
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    def wait_until_asked(self, times: int) -> None:
        deadline = time.monotonic() + 30
        while self.asked() < times:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[_Watched]:
    nats = _Watched(tmp_path)
    yield nats
    nats.process.kill()
    nats.process.wait()


def test_a_nats_that_stays_ill_is_ended_so_that_it_starts_again(watched: _Watched) -> None:
    watched.wait_until_asked(6)
    assert watched.process.poll() is None, "it is well, and left alone"
    (watched.folder / "well").unlink()
    assert watched.process.wait(timeout=30) == 75
    assert watched.process.stderr is not None
    assert "ended and started again" in watched.process.stderr.read()
    assert (watched.folder / "nats-server.args").read_text() == "--config x\n"


def test_a_nats_that_is_told_to_stop_stops(watched: _Watched) -> None:
    watched.wait_until_asked(1)
    watched.process.terminate()
    assert watched.process.wait(timeout=30) == 3, "its own exit code"


def test_the_watch_runs_around_every_node_and_reads_the_health_check() -> None:
    for node in ["nats", *NODES]:
        assert COMPOSE[node]["entrypoint"] == ["/bin/sh", "/etc/nats/watch"]
        assert "./deploy/nats:/etc/nats:ro" in COMPOSE[node]["volumes"]
        assert COMPOSE[node]["healthcheck"]["test"][-1] in (ROOT / "deploy/nats/watch").read_text()


def test_only_the_gateway_smtp_in_and_the_views_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in COMPOSE.items() if "ports" in service}
    assert set(published) == {"gateway", "dispatcher", "prometheus", "grafana"}
    assert published["gateway"] == ["${POSTFLEET_HTTP_BIND:-127.0.0.1}:8080:8000"]
    assert published["dispatcher"] == ["${POSTFLEET_SMTP_BIND:-127.0.0.1}:2587:2587"]
    assert published["prometheus"][0].startswith("127.0.0.1:")
    assert published["grafana"][0].startswith("127.0.0.1:")


def test_the_servers_have_no_way_out() -> None:
    assert _compose()["networks"]["data"] == {"internal": True}
    for name in ("nats", *NODES, "mongo", "mongo-init", "bus-apply", "migrate"):
        assert COMPOSE[name]["networks"] == ["data"]


def test_one_node_by_default_and_three_by_profile() -> None:
    example = (ROOT / ".env.example").read_text()
    assert (
        "\nCOMPOSE_PROFILES=single,observability\nNATS_URL=tls://nats:4222\nNATS_REPLICAS=1\n"
        in example
    )
    assert "COMPOSE_PROFILES=cluster" in example
    assert COMPOSE["nats"]["profiles"] == ["single"]
    routes = ",".join(f"nats-route://{node}:6222" for node in NODES)
    for node in NODES:
        assert COMPOSE[node]["profiles"] == ["cluster"]
        assert COMPOSE[node]["command"][-4:] == ["--name", node, "--routes", routes]
        assert f"tls://{node}:4222" in example
        assert node in COMPOSE["certs"]["entrypoint"][-1].split()
    data = [v for node in NODES for v in COMPOSE[node]["volumes"] if v.endswith(":/data")]
    assert len(set(data)) == 3, "each node has a store of its own"
    assert COMPOSE["bus-apply"]["command"][-2:] == ["--replicas", "${NATS_REPLICAS:-1}"]


def test_who_talks_to_nats_gets_its_authority_and_only_nats_the_key() -> None:
    for name, service in COMPOSE.items():
        volumes = service.get("volumes", [])
        assert ("nats-ca:/etc/nats-ca:ro" in volumes) == (name in [*SERVICES, "bus-apply"]), name
        assert ("nats-tls:/etc/nats-tls:ro" in volumes) == (name in ["nats", *NODES]), name
    for name in [*SERVICES, "bus-apply"]:
        environment = COMPOSE[name]["environment"]
        assert environment["NATS_URL"].startswith("${NATS_URL:?")
        assert environment["POSTFLEET_NATS_CA_FILE"] == "/etc/nats-ca/ca.crt"
    assert COMPOSE["certs"]["network_mode"] == "none"


def test_what_must_survive_is_on_a_volume() -> None:
    volumes = set(_compose()["volumes"])
    kept = {
        volume.split(":")[1]
        for service in COMPOSE.values()
        for volume in service.get("volumes", [])
        if volume.split(":")[0] in volumes
    }
    servers = {"/data", "/data/db", "/data/configdb", "/prometheus", "/var/lib/grafana"}
    certificates = {"/tls", "/ca", "/etc/nats-tls", "/etc/nats-ca"}
    assert kept == {*servers, *certificates, "/data/spool", "/data/mailserver"}


@pytest.mark.parametrize("name", COMPOSE)
def test_no_secret_is_written_down(name: str) -> None:
    for variable, value in COMPOSE[name].get("environment", {}).items():
        if re.search(r"(?:PASSWORD|KEY|SECRET|TOKEN)(?!_FILE)", variable):
            assert re.fullmatch(r"\$\{\w+:\?.*\}", value), variable
            assert REMEDY in value, f"{variable}: the message names the remedy"
        if credentials := re.search(r"://[^/@]+:([^@]+)@", value):
            assert re.fullmatch(r"\$\{\w+_PASSWORD\}", credentials.group(1)), variable


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_users_and_a_database_of_its_own(service: str) -> None:
    environment = COMPOSE[service]["environment"]
    module, variable = service.replace("-", "_"), f"{service.upper().replace('-', '_')}_PASSWORD"
    assert environment["NATS_USER"] == service
    assert environment["NATS_PASSWORD"].startswith(f"${{{variable}:?")
    assert environment["MONGODB_URL"] == (
        f"mongodb://{module}:${{{variable}}}@mongo:27017/{module}?replicaSet=rs0"
    )
    assert f'"{module}"' in (ROOT / "deploy/mongo/init.js").read_text()
    route = f"POSTFLEET_GATEWAY_{module.upper()}_URL"
    assert COMPOSE["gateway"]["environment"][route] == f"http://{service}:8000"


def test_the_gateway_holds_no_secret() -> None:
    secrets = re.compile("PASSWORD|KEY|SECRET|NATS|MONGO")
    assert not any(secrets.search(variable) for variable in COMPOSE["gateway"]["environment"])


def test_the_example_lists_every_variable_that_compose_asks_for() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    listed = set(re.findall(r"(?m)^(\w+)=", (ROOT / ".env.example").read_text()))
    assert asked - {"POSTFLEET_VERSION"} == listed - {"COMPOSE_PROFILES"}


def test_make_env_invents_every_secret_once(tmp_path: Path) -> None:
    target = tmp_path / "env"
    assert _run(ROOT / "deploy/make-env", target).returncode == 0
    values = dict(re.findall(r"(?m)^(\w+)=(.*)$", target.read_text()))
    secrets = {k: v for k, v in values.items() if re.search(r"PASSWORD$|KEY$", k)}
    assert len(set(secrets.values())) == len(secrets) == 10
    assert all(len(value) >= 44 for value in secrets.values())
    passwords = [value for name, value in secrets.items() if name.endswith("PASSWORD")]
    assert all(re.fullmatch(r"[a-z][a-z0-9]+", value) for value in passwords)
    assert target.stat().st_mode & 0o777 == 0o600

    before = target.read_text()
    again = _run(ROOT / "deploy/make-env", target)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert target.read_text() == before


def test_only_the_watchers_image_contains_gpl_code() -> None:
    for service in [*SERVICES, "cli"]:
        locked = "aioimaplib==" in (ROOT / f"requirements/{service}.txt").read_text()
        assert locked == (service == "inbox-watcher"), service
    notice = (ROOT / "NOTICE").read_text()
    assert "aioimaplib" in notice
    assert "GPL-3.0" in notice
    assert COMPOSE["inbox-watcher"]["build"]["args"]["LICENSES"] == "Apache-2.0 AND GPL-3.0-only"


def test_the_licence_is_complete() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_actions_are_pinned_and_hold_no_right() -> None:
    text = WORKFLOW.read_text()
    uses = re.findall(r"uses: (\S+)( # v[\d.]+)?", text)
    assert uses
    for action, version in uses:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
        assert version, f"{action}: the version beside it, for people"
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "pull_request_target" not in text


def test_the_workflow_runs_what_people_run() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    commands = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    assert "make lint" in commands["lint"]
    assert any("make test" in command for command in commands["test"])
    assert ".ci/run" in commands["bare-debian"]
    assert jobs["bare-debian"]["container"] == "debian:12"
    assert 'make test ARGS="-m real_mongo"' in commands["real-mongodb"]


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        pytest.param("nothing", 0, id="all pass"),
        pytest.param("lint", 1, id="lint fails, the rest runs all the same"),
        pytest.param("test", 1, id="a test fails"),
        pytest.param("chaos", 1, id="chaos finds something"),
    ],
)
def test_ci_run_reports_all_parts(failing: str, expected: int, tmp_path: Path) -> None:
    """With a `make` that only pretends."""
    make = tmp_path / "make"
    make.write_text(
        '#!/bin/sh\necho "made $1"\nread line && exit 9\n'
        'echo "SKIPPED [1] tests/x.py:1: no browser"\n'
        f'[ "$1" != {failing} ]\n'
    )
    make.chmod(0o755)
    result = _run(ROOT / ".ci/run", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert result.returncode == expected
    assert "made lint" in result.stdout
    assert "made test" in result.stdout
    assert "made chaos" in result.stdout
    assert result.stdout.count("no browser") == 4, (
        "as each of the three runs, once in the list at the end"
    )


def test_the_scripts_can_be_run() -> None:
    for script in (
        ".ci/run",
        "deploy/make-env",
        "deploy/docker/install",
        "deploy/docker/slim",
        "deploy/mongo/start",
        "deploy/nats/make-certs",
    ):
        assert os.access(ROOT / script, os.X_OK), script
        assert _run("bash", "-n", script).returncode == 0, script
    assert sys.version_info >= (3, 11)


@pytest.mark.parametrize("service", SERVICES)
def test_traces_are_off_until_a_collector_is_named(service: str) -> None:
    said = COMPOSE[service]["environment"]["POSTFLEET_OTLP_ENDPOINT"]
    assert said == "${POSTFLEET_OTLP_ENDPOINT:-}"
    assert "\nPOSTFLEET_OTLP_ENDPOINT=\n" in (ROOT / ".env.example").read_text()
    assert tracing.endpoint({"POSTFLEET_OTLP_ENDPOINT": ""}) is None
    assert tracing.endpoint({"POSTFLEET_OTLP_ENDPOINT": "http://collector:4318"}) is not None
