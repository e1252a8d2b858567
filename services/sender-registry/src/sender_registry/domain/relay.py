"""Who may hand mail in over SMTP: log-ins that we issue, and networks that are let in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from postfleet.addresses import split_address


@dataclass(frozen=True, slots=True)
class RelayLogin:
    """`login` is "" where none was issued; only a hash of the password is kept."""

    login: str = ""
    hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RelayAccess:
    """Where mail is handed in, as told to the operator."""

    hosts: tuple[str, ...]
    submission_port: int = 587
    plain_port: int = 25
    service_domain: str = "postfleet.local"


def relay_login(address: str, service_domain: str) -> str:
    """john.smith@acmecorp.com logs in as john.smith@acmecorp-com.<service domain>."""
    local, domain = split_address(address)
    return f"{local}@{domain.lower().replace('.', '-')}.{service_domain}".lower()


def may_enter(ip: str, allowed_ips: Iterable[str]) -> bool:
    """Whether the address of a client is in one of the networks."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ip_network(network) for network in allowed_ips)
