"""The DNS records that a domain should have, ready to be copied into any DNS provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from mail_provisioner.domain import mta_sts
from mail_provisioner.domain.mta_sts import MtaSts

_MX_PREFERENCE = 10
_MAX_TXT_STRING = 255  # RFC 1035 §3.3: a longer value is several strings
CHALLENGE_LABEL = "_postfleet-challenge"  # a name of its own, so it never meets other TXT records


class DmarcPolicy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class Purpose(StrEnum):
    VERIFICATION = "verification"
    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DKIM_NEXT = "dkim-next"
    DKIM_OLD = "dkim-old"
    DMARC = "dmarc"
    TLS_RPT = "tls-rpt"
    MTA_STS = "mta-sts"


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
        return f"{self.name}. IN TXT {quoted(self.value)}"


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
    receives: bool = True  # whether the domain's mail comes to us: then it gets an MX
    further_keys: Sequence[tuple[str, str, str]] = ()  # (purpose, selector, public key)
    mta_sts: MtaSts = MtaSts.OFF
    tls_reports_to: str = ""  # an address for TLS reports (RFC 8460); "": none are asked for


def challenge(domain: str, token: str) -> Record:
    """The record that proves who owns the domain."""
    return Record(
        "TXT",
        f"{CHALLENGE_LABEL}.{domain}",
        f"postfleet-verification={token}",
        Purpose.VERIFICATION.value,
    )


def desired(wanted: Wanted) -> tuple[Record, ...]:
    """Every record, SPF as if the domain had none yet."""
    keys = [(Purpose.DKIM.value, wanted.dkim_selector, wanted.dkim_public_key)]
    keys += wanted.further_keys
    found = [
        Record("TXT", wanted.domain, _spf(wanted), Purpose.SPF.value),
        *(
            Record("TXT", f"{selector}._domainkey.{wanted.domain}", dkim_value(key), purpose)
            for purpose, selector, key in keys
        ),
        Record("TXT", f"_dmarc.{wanted.domain}", _dmarc(wanted), Purpose.DMARC.value),
    ]
    if wanted.receives:
        mx = f"{_MX_PREFERENCE} {wanted.mail_host}"
        found.insert(0, Record("MX", wanted.domain, mx, Purpose.MX.value))
    if wanted.receives and wanted.mta_sts is not MtaSts.OFF:
        value = mta_sts.record_value(wanted.mta_sts, wanted.mail_host)
        found.append(Record("TXT", f"_mta-sts.{wanted.domain}", value, Purpose.MTA_STS.value))
    if wanted.tls_reports_to:
        value = f"v=TLSRPTv1; rua=mailto:{wanted.tls_reports_to}"
        name = f"_smtp._tls.{wanted.domain}"
        found.append(Record("TXT", name, value, Purpose.TLS_RPT.value))
    return tuple(found)


def dkim_value(public_key: str) -> str:
    return f"v=DKIM1; k=rsa; p={public_key}"


def spf_terms(wanted: Wanted) -> tuple[str, ...]:
    """Only this server may send. Plain addresses cost no DNS lookup."""
    terms = tuple(f"ip{ip_address(a).version}:{a}" for a in wanted.server_addresses)
    return terms or (f"a:{wanted.mail_host}",)


def quoted(value: str) -> str:
    """A TXT value as quoted strings of at most 255 octets."""
    parts = [value[i : i + _MAX_TXT_STRING] for i in range(0, len(value), _MAX_TXT_STRING)]
    return " ".join(f'"{part}"' for part in parts)


def tags(value: str) -> dict[str, str]:
    """The tags of a DKIM or DMARC record, names in lower case: `v=DKIM1; p=…` -> {"v": …}."""
    pairs = (part.partition("=") for part in value.split(";") if "=" in part)
    return {name.strip().lower(): "".join(text.split()) for name, _, text in pairs}


def _spf(wanted: Wanted) -> str:
    """`~all` is a soft fail."""
    return " ".join(["v=spf1", *spf_terms(wanted), "~all"])


def _dmarc(wanted: Wanted) -> str:
    value = f"v=DMARC1; p={wanted.dmarc_policy}"
    return value if wanted.dmarc_pct is None else f"{value}; pct={wanted.dmarc_pct}"
