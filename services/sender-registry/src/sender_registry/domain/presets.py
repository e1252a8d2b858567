"""What is known about providers: their servers, limits, and how to get a password for them.

Data with its source and the day it was read; `VERSION` moves with every change of it.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

VERSION = "2026-11-21"

#: the platform's own maximum, for providers that publish none (S225)
UNPUBLISHED_MAXIMUM = 100_000


class InboxType(StrEnum):
    GOOGLE_WORKSPACE = "GOOGLE_WORKSPACE"
    OUTLOOK_365 = "OUTLOOK_365"
    CUSTOM_SMTP = "CUSTOM_SMTP"
    ZOHO = "ZOHO"
    FASTMAIL = "FASTMAIL"
    ICLOUD = "ICLOUD"
    YAHOO = "YAHOO"
    AMAZON_SES = "AMAZON_SES"
    SENDGRID = "SENDGRID"
    POSTMARK = "POSTMARK"
    MAILGUN = "MAILGUN"


@dataclass(frozen=True, slots=True)
class PasswordEnd:
    """Log-ins with a password end on this day, unless an administrator acts."""

    on: date
    what: str


@dataclass(frozen=True, slots=True)
class Preset:
    """What is used where the operator leaves a field out; "" where there is nothing to assume."""

    max_daily_limit: int = UNPUBLISHED_MAXIMUM  # mails a day; a higher configured limit is refused
    smtp_host: str = ""
    imap_host: str = ""
    smtp_port: int = 587
    imap_port: int = 993
    smtp_username: str = ""  # where it is not the e-mail address
    hint: str = ""
    guide: tuple[str, ...] = ()  # the steps to a password, in order
    note: str = ""
    password_end: PasswordEnd | None = None
    oauth: str = ""  # the provider's name in `oauth`
    domains: tuple[str, ...] = ()  # of its addresses
    mx_suffixes: tuple[str, ...] = ()  # of the servers that receive for its customers
    source: str = ""
    checked: date = date(2026, 11, 21)


_SMTP_ONLY = "it sends only: name an IMAP server of yours if replies are to be detected"

PRESETS: dict[InboxType, Preset] = {
    InboxType.GOOGLE_WORKSPACE: Preset(
        max_daily_limit=2_000,
        smtp_host="smtp.gmail.com",
        imap_host="imap.gmail.com",
        hint="use an app password made at https://myaccount.google.com/apppasswords",
        guide=(
            "Open your Google Account settings.",
            'Go to "Security".',
            'Switch on "2-Step Verification"; with it an app password is required.',
            'Open "App passwords".',
            'Generate one for "Mail" and use it as smtp_password and imap_password.',
        ),
        oauth="google",
        domains=("gmail.com", "googlemail.com"),
        mx_suffixes=("google.com", "googlemail.com"),
        source="https://support.google.com/a/answer/166852",
    ),
    InboxType.OUTLOOK_365: Preset(
        max_daily_limit=10_000,
        smtp_host="smtp.office365.com",
        imap_host="outlook.office365.com",
        hint="use an app password; SMTP AUTH must be switched on for the mailbox",
        guide=(
            "Open https://mysignins.microsoft.com/security-info with the mailbox's account.",
            "Switch on two-step verification for the account.",
            'Choose "Add sign-in method", then "App password".',
            "Give it a name of its own, for instance Postfleet.",
            "Use the generated password as smtp_password and imap_password.",
        ),
        note=(
            "Some tenants need no app password if SMTP authentication is switched on: ask for "
            "your organisation's policy. IMAP takes OAuth only."
        ),
        password_end=PasswordEnd(
            date(2026, 12, 31),
            "Microsoft switches SMTP log-ins with a password off by default at the end of "
            "December 2026; connect the mailbox with OAuth (auth_method xoauth2)",
        ),
        oauth="microsoft",
        domains=("outlook.com", "hotmail.com", "live.com", "msn.com"),
        mx_suffixes=("mail.protection.outlook.com",),
        source="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
        "deprecation-of-basic-authentication-exchange-online",
    ),
    InboxType.CUSTOM_SMTP: Preset(
        max_daily_limit=UNPUBLISHED_MAXIMUM,
        hint="use an app password if the provider has them",
    ),
    InboxType.ZOHO: Preset(
        smtp_host="smtp.zoho.com",
        imap_host="imap.zoho.com",
        smtp_port=465,
        hint="use an app-specific password; accounts in other regions name their hosts (zoho.eu, …)",
        guide=(
            "Open https://accounts.zoho.com.",
            'Go to "Security", then "App Passwords".',
            'Generate one for "Mail" and use it for SMTP and IMAP.',
        ),
        domains=("zoho.com", "zohomail.com"),
        mx_suffixes=("zoho.com",),
        source="https://autoconfig.thunderbird.net/v1.1/zoho.com",
    ),
    InboxType.FASTMAIL: Preset(
        smtp_host="smtp.fastmail.com",
        imap_host="imap.fastmail.com",
        smtp_port=465,
        hint="use an app password",
        guide=(
            'Open "Settings", then "Privacy & Security".',
            'Under "Connected apps & API tokens" choose "Manage app passwords".',
            'Make one with access to "Mail" and use it for SMTP and IMAP.',
        ),
        domains=("fastmail.com", "fastmail.fm"),
        mx_suffixes=("messagingengine.com",),
        source="https://www.fastmail.help/hc/en-us/articles/1500000278342",
    ),
    InboxType.ICLOUD: Preset(
        max_daily_limit=1_000,
        smtp_host="smtp.mail.me.com",
        imap_host="imap.mail.me.com",
        hint="use an app-specific password",
        guide=(
            "Open https://account.apple.com.",
            'Go to "Sign-In and Security", then "App-Specific Passwords".',
            "Generate one and use it for SMTP and IMAP.",
        ),
        note="Apple forbids bulk mail.",
        domains=("icloud.com", "me.com", "mac.com"),
        mx_suffixes=("mail.icloud.com",),
        source="https://support.apple.com/102198",
    ),
    InboxType.YAHOO: Preset(
        smtp_host="smtp.mail.yahoo.com",
        imap_host="imap.mail.yahoo.com",
        smtp_port=465,
        hint="use an app password",
        guide=(
            'Open "Account info", then "Security".',
            'Choose "Generate app password".',
            "Use it for SMTP and IMAP.",
        ),
        domains=("yahoo.com", "ymail.com", "aol.com"),
        mx_suffixes=("yahoodns.net",),
        source="https://autoconfig.thunderbird.net/v1.1/yahoo.com",
    ),
    InboxType.AMAZON_SES: Preset(
        hint="smtp_host is email-smtp.<region>.amazonaws.com; use an SMTP credential, no access key",
        note=_SMTP_ONLY,
        source="https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html",
    ),
    InboxType.SENDGRID: Preset(
        smtp_host="smtp.sendgrid.net",
        smtp_username="apikey",
        hint="the password is an API key with the Mail Send permission",
        note=_SMTP_ONLY,
        source="https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
    ),
    InboxType.POSTMARK: Preset(
        smtp_host="smtp.postmarkapp.com",
        hint="user name and password are both the server token; broadcasts have their own host",
        note=_SMTP_ONLY,
        source="https://postmarkapp.com/support/article/811",
    ),
    InboxType.MAILGUN: Preset(
        smtp_host="smtp.mailgun.org",
        hint="use the SMTP log-in of the domain; in the EU the host is smtp.eu.mailgun.org",
        note=_SMTP_ONLY,
        source="https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
    ),
}


def by_domain(domain: str) -> InboxType | None:
    """The provider whose own addresses end in this domain."""
    found = (kind for kind, preset in PRESETS.items() if domain.lower() in preset.domains)
    return next(found, None)


def by_mx(servers: list[str]) -> InboxType | None:
    """The provider whose servers receive for a domain; `servers` are the targets of its MX."""
    for server in servers:
        name = "." + server.lower().rstrip(".")
        for kind, preset in PRESETS.items():
            if any(name.endswith("." + suffix) for suffix in preset.mx_suffixes):
                return kind
    return None
