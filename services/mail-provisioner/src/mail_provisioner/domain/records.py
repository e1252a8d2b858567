"""The DNS records that a domain should have, ready to be copied into any DNS provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

_MX_PREFERENCE = 10
_MAX_TXT_STRING = 255  # RFC 1035 §3.3: a longer value is several strings
CHALLENGE_LABEL = "_postfleet-challenge"  # a name of its own, so it never meets other TXT records


class DmarcPolicy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Record:
    """`value` is the whole value without quotes; `name` has no final dot."""

    type: str
    name: str
    value: str
    purpose: str

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file (RFC 1035 §5.1), long texts split into strings."""
        if self.type != "TXT":
            return f"{self.name}. IN {self.type} {self.value}."
        parts = [
            self.value[i : i + _MAX_TXT_STRING] for i in range(0, len(self.value), _MAX_TXT_STRING)
        ]
        return f"{self.name}. IN TXT " + " ".join(f'"{part}"' for part in parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one domain's records are made from."""

    domain: str
    mail_host: str
    server_addresses: Sequence[str]  # IP addresses that send; empty: those of `mail_host`
    dkim_selector: str
    dkim_public_key: str  # base64 of the SubjectPublicKeyInfo
    dmarc_policy: DmarcPolicy
    dmarc_pct: int | None  # RFC 9989 dropped it: only where the operator asks


def challenge(domain: str, token: str) -> Record:
    """The record that proves who owns the domain."""
    return Record(
        "TXT", f"{CHALLENGE_LABEL}.{domain}", f"postfleet-verification={token}", "verification"
    )


def desired(wanted: Wanted) -> tuple[Record, ...]:
    return (
        Record("MX", wanted.domain, f"{_MX_PREFERENCE} {wanted.mail_host}", "mx"),
        Record("TXT", wanted.domain, _spf(wanted), "spf"),
        Record(
            "TXT",
            f"{wanted.dkim_selector}._domainkey.{wanted.domain}",
            f"v=DKIM1; k=rsa; p={wanted.dkim_public_key}",
            "dkim",
        ),
        Record("TXT", f"_dmarc.{wanted.domain}", _dmarc(wanted), "dmarc"),
    )


def _spf(wanted: Wanted) -> str:
    """Only this server may send; `~all` is a soft fail. Plain addresses cost no DNS lookup."""
    terms = [f"ip{ip_address(a).version}:{a}" for a in wanted.server_addresses]
    return " ".join(["v=spf1", *(terms or [f"a:{wanted.mail_host}"]), "~all"])


def _dmarc(wanted: Wanted) -> str:
    value = f"v=DMARC1; p={wanted.dmarc_policy}"
    return value if wanted.dmarc_pct is None else f"{value}; pct={wanted.dmarc_pct}"
