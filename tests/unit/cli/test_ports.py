"""Ports that are taken are named, with the option that chooses another."""

import socket
from collections.abc import Iterator

import pytest

from postfleet_cli import plan, ports
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.plan import Options
from postfleet_cli.ports import PortUse


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_ends_with_69_and_names_the_option(taken: int) -> None:
    (free,) = ports.free(1)
    uses = [PortUse(free, "HTTP", "--http-port"), PortUse(taken, "NATS", "--nats-port")]
    with pytest.raises(Refused) as caught:
        ports.check(uses)
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert caught.value.lines == (
        f"port {taken} for NATS is in use. Choose another with --nats-port PORT",
    )


def test_every_taken_port_has_its_line(taken: int) -> None:
    uses = [PortUse(taken, "HTTP", "--http-port"), PortUse(taken, "SMTP", "--smtp-port")]
    with pytest.raises(Refused) as caught:
        ports.check(uses)
    assert len(caught.value.lines) == 2
    assert "--smtp-port and --http-port name the same port" in caught.value.lines[1]


def test_free_ports_are_distinct_and_can_be_had() -> None:
    found = ports.free(9)
    assert len(set(found)) == 9
    assert all(ports.is_free(port) for port in found)


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        pytest.param(
            {}, ["--http-port", "--smtp-port", "--nats-port", "--mongo-port"], id="all embedded"
        ),
        pytest.param(
            {"NATS_URL": "nats://other:4222"},
            ["--http-port", "--smtp-port", "--mongo-port"],
            id="an external NATS",
        ),
        pytest.param(
            {"NATS_URL": "nats://other:4222", "MONGODB_URL": "mongodb://other"},
            ["--http-port", "--smtp-port"],
            id="nothing embedded",
        ),
    ],
)
def test_only_ports_of_what_is_embedded_are_needed(
    environ: dict[str, str], options: list[str]
) -> None:
    assert [use.option for use in plan.port_uses(Options(), environ)] == options


def test_a_port_is_given_once_and_never_one_that_is_meant_for_somebody() -> None:
    [meant] = ports.free(1)
    ports.check([ports.PortUse(meant, "HTTP", "--http-port")])
    given = [port for _ in range(50) for port in ports.free(20)]
    assert len(set(given)) == len(given) == 1000
    assert meant not in given
