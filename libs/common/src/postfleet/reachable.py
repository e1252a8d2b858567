"""Which addresses may be connected to when somebody else names the host.

Host names come from API callers and from mail; without this rule our connections would be a port
scanner for the network we run in (SSRF). The name is resolved once and the connection goes to the
address that was judged, so that a name which changes its address between check and use gains
nothing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

MAIL_PORTS = frozenset({25, 143, 465, 587, 993, 2525})
WEB_PORTS = frozenset({443})

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
#: read as global by `ipaddress`, and yet nobody's server
_NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("192.88.99.0/24", "fec0::/10", "64:ff9b:1::/48")
)


class NameUnknown(Exception):
    """The host name does not resolve."""


class Forbidden(Exception):
    """The rule does not allow the connection; the text names the reason."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """CIDRs, separated by commas. Raises ValueError."""
    parts = (part.strip() for part in text.split(","))
    return tuple(ip_network(part) for part in parts if part)


def refusal(
    addresses: Iterable[Address],
    port: int,
    allowed_networks: Iterable[Network],
    ports: frozenset[int] = MAIL_PORTS,
) -> str | None:
    """Why no connection may be made, or None. One forbidden address forbids the host.

    In a network that is allowed by name every port may be connected to.
    """
    networks = tuple(allowed_networks)
    for address in addresses:
        if any(address in network for network in networks):
            continue
        if not is_public(address):
            return "the host has an address that is not on the internet"
        if port not in ports:
            return f"port {port} is none of {', '.join(map(str, sorted(ports)))}"
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


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of the host, in the system's order. Raises NameUnknown."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NameUnknown(f"the name {host} does not resolve") from error
    addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    return list(dict.fromkeys(addresses))


async def guarded_socket(
    host: str,
    port: int,
    allowed_networks: Sequence[Network],
    ports: frozenset[int] = MAIL_PORTS,
    resolved: Callable[[], None] = lambda: None,
) -> socket.socket:
    """A connected socket to one of the host's addresses, for a transport to take over.

    `resolved` is called when the addresses are known, before the first is connected to.

    Raises NameUnknown, Forbidden, or an ExceptionGroup of OSErrors, one for each address.
    """
    addresses = await resolve(host, port)
    forbidden = refusal(addresses, port, allowed_networks, ports)
    if forbidden:
        raise Forbidden(forbidden)
    resolved()
    failures: list[OSError] = []
    for address in addresses:
        try:
            return await _connected(address, port)
        except OSError as error:
            failures.append(error)
    raise ExceptionGroup(f"{host} cannot be reached", failures)


async def _connected(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        undo.pop_all()
        return connection
