"""Which addresses and ports the log-in tests may connect to.

Host names come from API callers; without this rule the tests would be a port scanner for the
network we run in (SSRF).
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

MAIL_PORTS = frozenset({25, 143, 465, 587, 993, 2525})

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
#: read as global by `ipaddress`, and yet nobody's mail server
_NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("192.88.99.0/24", "fec0::/10", "64:ff9b:1::/48")
)


def refusal(
    addresses: Iterable[Address], port: int, allowed_networks: Iterable[Network]
) -> str | None:
    """Why no connection may be made, or None. One forbidden address forbids the host."""
    networks = tuple(allowed_networks)
    for address in addresses:
        if any(address in network for network in networks):
            continue
        if not is_public(address):
            return (
                "the host has an address that is not on the internet; "
                "name its network in POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS if that is right"
            )
        if port not in MAIL_PORTS:
            return f"port {port} is no mail port ({', '.join(map(str, sorted(MAIL_PORTS)))})"
    return None


def is_public(address: Address) -> bool:
    """Whether it is an ordinary host on the internet, looking through addresses that wrap others."""
    if any(address in network for network in _NEVER_PUBLIC):
        return False
    if isinstance(address, IPv6Address):
        wrapped = _wrapped(address)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not address.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
