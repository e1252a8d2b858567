"""A mail domain: whose it is, and what its records are made from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import idna

from mail_provisioner.domain.masquerading import Masquerading
from mail_provisioner.domain.mta_sts import MtaSts
from mail_provisioner.domain.records import DmarcPolicy
from postfleet.addresses import check_domain

_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # one DNS label


class DomainState(StrEnum):
    UNVERIFIED = "unverified"
    VERIFIED = "verified"


OLD_KEY_KEPT_MS = 7 * 24 * 3600 * 1000  # mail may be queued for five days, and read later


@dataclass(frozen=True, slots=True)
class Key:
    """A DKIM key beside the one that signs; `retired_at` (epoch ms) is 0 before that."""

    selector: str
    public: str
    sealed: str = field(default="", repr=False)
    retired_at: int = 0

    def published_at(self, now: int) -> str:
        """The `p=` to publish: empty (revoked) once nobody can need an old key any more."""
        over = self.retired_at and now - self.retired_at >= OLD_KEY_KEPT_MS
        return "" if over else self.public


class MailUse(StrEnum):
    """What mail of the domain is ours."""

    FULL = "full"
    SENDING = "sending"  # we send for it, another server receives: no MX, no aliases, no catch-all


@dataclass(frozen=True, slots=True)
class Domain:
    """`verified_at` is 0 while nobody has proven that the domain is theirs. Times are epoch ms."""

    name: str
    state: DomainState
    token: str
    dkim_selector: str
    dkim_public_key: str
    sealed_dkim_key: str
    dmarc_policy: DmarcPolicy
    dmarc_pct: int | None
    created_at: int
    verified_at: int = 0
    mail: MailUse = MailUse.FULL
    mta_sts: MtaSts = MtaSts.OFF
    masquerading: Masquerading = Masquerading.OFF
    published: Mapping[str, str] = field(default_factory=dict)  # purpose -> what we put in the DNS
    checks: Mapping[str, str] = field(
        default_factory=dict
    )  # check -> its state when last looked at
    checked_at: int = 0
    next_key: "Key | None" = None  # published, but not signing yet
    old_key: "Key | None" = None  # does not sign any more, but mail signed with it is on its way


def canonical_domain(name: str) -> str:
    """In lower case and ASCII (IDNA). Raises InvalidAddress."""
    check_domain(name)
    ascii_name = name if name.isascii() else idna.encode(name.lower()).decode()
    return ascii_name.lower()


def default_selector(day: datetime) -> str:
    """Dated, so that it is never used twice and meets no other service's selector."""
    return f"postfleet{day:%Y%m}"


def is_selector(text: str) -> bool:
    return bool(_SELECTOR.fullmatch(text))
