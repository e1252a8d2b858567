"""MTA-STS (RFC 8461): the policy by which a domain asks for verified TLS when mail comes in."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

_WEEK_SECONDS = 604_800  # RFC 8461 §3.2: long enough to protect, short enough to change
HOST_LABEL = "mta-sts"
PATH = "/.well-known/mta-sts.txt"
MAX_BYTES = 65_536


class MtaSts(StrEnum):
    """`none` takes an earlier policy back (§8.3): keep it for a week before `off`."""

    OFF = "off"
    NONE = "none"
    TESTING = "testing"  # failures are reported (TLS-RPT), mail is delivered
    ENFORCE = "enforce"


def policy(mode: MtaSts, mail_host: str) -> str:
    """What `https://mta-sts.<domain>/.well-known/mta-sts.txt` serves."""
    lines = ["version: STSv1", f"mode: {mode.value}", f"mx: {mail_host}"]
    return "\r\n".join([*lines, f"max_age: {_WEEK_SECONDS}", ""])


def record_value(mode: MtaSts, mail_host: str) -> str:
    """The TXT at `_mta-sts.<domain>`; its id changes with the policy, and only then."""
    digest = hashlib.sha256(policy(mode, mail_host).encode()).hexdigest()
    return f"v=STSv1; id={digest[:20]}"


def host_of(domain: str) -> str:
    return f"{HOST_LABEL}.{domain}"


def domain_of(host: str) -> str:
    """The domain that a Host field asks about, or ""."""
    name = host.partition(":")[0].lower().rstrip(".")
    label, _, domain = name.partition(".")
    return domain if label == HOST_LABEL else ""


def meaning(text: str) -> Mapping[str, tuple[str, ...]]:
    """A policy's fields; two policies with the same are the same (§3.2)."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            found[key] = (*found.get(key, ()), value.strip().lower())
    return found
