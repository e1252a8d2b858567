"""Networks: how much of a client's address is kept, and which ones machines are known to use."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from postfleet.events.tracking import Verdict

COLUMNS = ("network", "name", "kind", "source", "as_of")


class BadNetworks(ValueError):
    """A list of networks that cannot be read; the text names the line."""


@dataclass(frozen=True, slots=True)
class Published:
    """A network that its owner, a registry or the operator tells of. `kind` is what comes from it."""

    network: IPv4Network | IPv6Network
    name: str
    kind: Verdict
    source: str
    as_of: str


class Networks:
    """The published networks: the first list that knows an address decides, there its longest prefix."""

    def __init__(self, *lists: Iterable[Published]) -> None:
        self._lists = [_by_prefix(entries) for entries in lists]
        self.find = lru_cache(maxsize=20_000)(self._find)

    def _find(self, place: str) -> Published | None:
        """Whose an address is, or a whole network (`192.0.2.0/24`); None where nobody says."""
        address = _address(place.partition("/")[0])
        if address is None:
            return None
        longest = int(place.partition("/")[2] or address.max_prefixlen)
        for prefixes in self._lists:
            for (version, length), found in prefixes.items():
                if version != address.version or length > longest:
                    continue
                entry = found.get(int(address) >> (address.max_prefixlen - length))
                if entry is not None:
                    return entry
        return None


def _by_prefix(entries: Iterable[Published]) -> dict[tuple[int, int], dict[int, Published]]:
    prefixes: dict[tuple[int, int], dict[int, Published]] = {}
    for entry in entries:
        net = entry.network
        bits = int(net.network_address) >> (net.max_prefixlen - net.prefixlen)
        prefixes.setdefault((net.version, net.prefixlen), {})[bits] = entry
    return dict(sorted(prefixes.items(), key=lambda item: -item[0][1]))


def read_networks(text: str) -> list[Published]:
    """A list as CSV with the columns of COLUMNS; `#` begins a comment. Raises BadNetworks."""
    lines = text.splitlines()
    numbered = [(n, x) for n, x in enumerate(lines, 1) if x.strip() and not x.startswith("#")]
    if not numbered or tuple(next(csv.reader([numbered[0][1]]))) != COLUMNS:
        raise BadNetworks(f"the first line must name the columns: {','.join(COLUMNS)}")
    return [_published(number, next(csv.reader([line]))) for number, line in numbered[1:]]


def _published(number: int, values: list[str]) -> Published:
    if len(values) != len(COLUMNS):
        raise BadNetworks(f"line {number}: {len(COLUMNS)} columns are needed, not {len(values)}")
    network, name, kind, source, as_of = (value.strip() for value in values)
    try:
        return Published(ip_network(network), name, Verdict(kind), source, as_of)
    except ValueError as error:
        raise BadNetworks(f"line {number}: {error}") from error


def network_of(ip: str) -> str:
    """The /24 (IPv4) or /48 (IPv6) an address is in; "" where there is no address."""
    address = _address(ip)
    if address is None:
        return ""
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
