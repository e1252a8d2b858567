"""The mail world in containers: valid, closed in, and only beside a platform that asked for it."""

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from postfleet_cli.plan import _DEMO_PACE

ROOT = Path(__file__).parents[2]
FILE = "deploy/sandbox/compose.yaml"
WORLD: dict[str, Any] = yaml.safe_load((ROOT / FILE).read_text())
PLATFORM: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OPTIONS = dict(
    option.removeprefix("--").split("=", 1) for option in WORLD["services"]["sandbox"]["command"]
)
SPEAK_TO_IT = ["sender-registry", "dispatcher", "inbox-watcher"]


def test_the_file_follows_the_compose_schema() -> None:
    checker = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", FILE]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["sandbox", "demo"])
def test_its_containers_are_bounded_hardened_and_start_only_when_asked_for(name: str) -> None:
    container = WORLD["services"][name]
    assert {"cpus", "memory", "pids"} <= set(container["deploy"]["resources"]["limits"])
    assert container["cap_drop"] == ["ALL"]
    assert container["read_only"] is True
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["profiles"] == [name]
    assert "ports" not in container
    assert container["networks"] == ["mailworld"]


def test_no_mail_can_leave_and_the_platform_alone_knows_nothing_of_it() -> None:
    assert WORLD["networks"]["mailworld"]["internal"] is True
    assert "sandbox" not in str({**PLATFORM["services"], **PLATFORM["volumes"]})
    assert "mailworld" not in PLATFORM["networks"]


@pytest.mark.parametrize("name", SPEAK_TO_IT)
def test_who_speaks_to_mail_servers_waits_for_it_and_trusts_it(name: str) -> None:
    service = WORLD["services"][name]
    assert service["depends_on"] == {"sandbox": {"condition": "service_healthy"}}
    assert service["environment"]["POSTFLEET_TLS_CA_FILE"] == "/sandbox/ca.pem"
    assert service["volumes"] == ["sandbox-data:/sandbox:ro"]
    assert service["networks"] == [*PLATFORM["services"][name]["networks"], "mailworld"]


def test_the_registry_may_reach_its_network_and_no_other() -> None:
    [network] = WORLD["networks"]["mailworld"]["ipam"]["config"]
    registry = WORLD["services"]["sender-registry"]["environment"]
    assert registry["POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS"] == network["subnet"]


def test_it_keeps_the_pace_of_postfleet_up_demo() -> None:
    said: dict[str, str] = {}
    for name in SPEAK_TO_IT:
        said |= WORLD["services"][name]["environment"]
    assert {name: said.get(name) for name in _DEMO_PACE} == _DEMO_PACE


def test_addresses_lead_where_something_listens() -> None:
    assert OPTIONS["platform"] == WORLD["services"]["demo"]["environment"]["POSTFLEET_URL"]
    assert OPTIONS["platform"] == "http://gateway:8000"
    assert "mailworld" in WORLD["services"]["gateway"]["networks"]
    control = f"http://{OPTIONS['name']}:{OPTIONS['control-port']}"
    assert WORLD["services"]["demo"]["command"] == ["demo", "--sandbox", control]
    assert OPTIONS["host"] == "0.0.0.0"
    asked = "POSTFLEET_HTTP_PORT=8000"  # what the image's health check asks
    assert asked in (ROOT / "Dockerfile").read_text()


def test_every_command_that_its_page_names_exists() -> None:
    page = (ROOT / "deploy/sandbox/README.md").read_text()
    for command in (
        f"docker-compose.yml:{FILE}",
        "--profile sandbox up",
        "docker compose run --rm demo",
    ):
        assert command in page
        assert command in (ROOT / ".env.example").read_text()
