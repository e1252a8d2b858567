"""How many connections a provider takes for one sender, and how many mails on each.

Data, with where each figure is from. "not published": the provider names none; the figure is ours, low
enough that a mailbox looks like a person's mail client. Whoever is refused one connection too many
learns it anyway (`connection_limits.py`); these spare the refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

_NOT_PUBLISHED = "not published"


@dataclass(frozen=True, slots=True)
class ProviderLimit:
    """None: no limit of the provider's is known."""

    connections: int | None
    mails_per_connection: int | None
    source: str


_MICROSOFT = ProviderLimit(
    3,
    None,
    "learn.microsoft.com/en-us/exchange/troubleshoot/send-emails/smtp-submission-improvements:"
    " three concurrent connections, then 432 4.3.2",
)
_GOOGLE = ProviderLimit(5, 100, f"{_NOT_PUBLISHED}; 421 4.4.5: support.google.com/a/answer/3726730")
_MAILBOX = ProviderLimit(2, 50, _NOT_PUBLISHED)
_RELAY = ProviderLimit(10, None, _NOT_PUBLISHED)

#: pattern of the SMTP host -> limit
PROVIDER_LIMITS: Mapping[str, ProviderLimit] = {
    "smtp.gmail.com": _GOOGLE,
    "smtp.googlemail.com": _GOOGLE,
    "smtp-relay.gmail.com": _GOOGLE,
    "smtp.office365.com": _MICROSOFT,
    "*.smtp.office365.com": _MICROSOFT,
    "*.outlook.com": _MICROSOFT,
    "smtp.live.com": _MICROSOFT,
    "*.mail.yahoo.com": _MAILBOX,
    "smtp.aol.com": _MAILBOX,
    "smtp.mail.me.com": _MAILBOX,  # iCloud
    "smtp*.zoho.*": _MAILBOX,
    "smtp*.zoho.com.*": _MAILBOX,
    "*.fastmail.com": _MAILBOX,
    "*.messagingengine.com": _MAILBOX,
    "smtp*.gmx.*": _MAILBOX,
    "email-smtp.*.amazonaws.com": _RELAY,
    "email-smtp-fips.*.amazonaws.com": _RELAY,
    "smtp.sendgrid.net": ProviderLimit(
        10_000, 5000, "sendgrid.com/docs/API_Reference/SMTP_API/integrating_with_the_smtp_api.html"
    ),
    "smtp*.postmarkapp.com": _RELAY,
    "smtp*.mailgun.org": _RELAY,
    "*.socketlabs.com": ProviderLimit(10, 50, "help.socketlabs.com/docs/smtp-server-restrictions"),
    "*.reachmail.net": ProviderLimit(
        None, 25, "reachmail.net/support/article/easy-smtp-rate-limits-and-recommendations"
    ),
}
_NONE = ProviderLimit(None, None, "")


def provider_limit(host: str, own: Mapping[str, ProviderLimit] = {}) -> ProviderLimit:
    """The most particular of the operator's patterns, else of ours; without one, no limit."""
    name = host.lower().rstrip(".")
    for known in (own, PROVIDER_LIMITS):
        fitting = [pattern for pattern in known if fnmatchcase(name, pattern.lower())]
        if fitting:
            return known[max(fitting, key=lambda p: (len(p) - p.count("*"), p))]
    return _NONE


def at_most(wanted: int, limit: int | None) -> int:
    return wanted if limit is None else min(wanted, limit)
