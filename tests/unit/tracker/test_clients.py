"""Whose address counts behind proxies, and how much one client may ask."""

import pytest

from postfleet.reachable import parse_networks
from tracker.api.clients import Clients


def _clients(burst: int = 3) -> Clients:
    return Clients(parse_networks("10.0.0.0/8,::1/128"), per_second=0.001, burst=burst)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param("203.0.113.5", [], "203.0.113.5", id="nobody in between"),
        pytest.param("203.0.113.5", ["192.0.2.1"], "203.0.113.5", id="a stranger who claims"),
        pytest.param("10.0.0.2", ["192.0.2.1"], "192.0.2.1", id="our gateway"),
        pytest.param("10.0.0.2", ["6.6.6.6, 192.0.2.1"], "192.0.2.1", id="a client who claims"),
        pytest.param("10.0.0.2", ["192.0.2.1, 10.0.0.9"], "192.0.2.1", id="two gateways"),
        pytest.param("10.0.0.2", ["192.0.2.1", "10.0.0.9"], "192.0.2.1", id="in two fields"),
        pytest.param("10.0.0.2", [], "10.0.0.2", id="a gateway that says nothing"),
        pytest.param("::1", ["2001:db8::7"], "2001:db8::7", id="over IPv6"),
        pytest.param("10.0.0.2", [" , "], "10.0.0.2", id="an empty list"),
    ],
)
def test_the_address_of_a_client(peer: str, forwarded: list[str], expected: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert _clients().of((peer, 1), headers) == expected


def test_a_client_that_asks_too_much_is_refused_and_no_other_one() -> None:
    clients = _clients(burst=3)
    assert [clients.may("a") for _ in range(5)] == [True, True, True, False, False]
    assert clients.may("b")
