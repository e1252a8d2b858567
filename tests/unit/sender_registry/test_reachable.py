"""Where log-in tests may connect to."""

from ipaddress import ip_address, ip_network

import pytest

from postfleet.reachable import is_public, refusal

PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:0:0:0:0:80ff:fffe",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_an_ordinary_host_of_the_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert refusal([ip_address(address)], 587, []) is not None


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "142.250.1.1", "2a00:1450:4001::1", "64:ff9b::808:808"]
)
def test_ordinary_hosts_are_not_refused(address: str) -> None:
    assert is_public(ip_address(address))
    assert refusal([ip_address(address)], 587, []) is None


def test_one_forbidden_address_forbids_the_host() -> None:
    addresses = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    assert "not on the internet" in (refusal(addresses, 587, []) or "")


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        (25, True),
        (143, True),
        (465, True),
        (587, True),
        (993, True),
        (2525, True),
        (22, False),
        (80, False),
        (26, False),
        (27017, False),
    ],
)
def test_on_the_internet_only_mail_ports_are_connected_to(port: int, allowed: bool) -> None:
    assert (refusal([ip_address("8.8.8.8")], port, []) is None) == allowed


def test_a_named_network_may_be_connected_to_on_any_port() -> None:
    networks = [ip_network("10.0.0.0/8")]
    assert refusal([ip_address("10.1.2.3")], 31337, networks) is None
    assert refusal([ip_address("11.1.2.3")], 31337, networks) is not None
    assert refusal([ip_address("192.168.0.1")], 587, networks) is not None
