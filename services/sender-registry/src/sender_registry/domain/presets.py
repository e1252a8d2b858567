"""What is known about providers: their servers and how many mails a day they let a mailbox send."""

from dataclasses import dataclass
from enum import StrEnum


class InboxType(StrEnum):
    GOOGLE_WORKSPACE = "GOOGLE_WORKSPACE"
    OUTLOOK_365 = "OUTLOOK_365"
    CUSTOM_SMTP = "CUSTOM_SMTP"


@dataclass(frozen=True, slots=True)
class Preset:
    """What is used where the operator leaves a field out; "" where there is nothing to assume."""

    max_daily_limit: int  # mails a day; a higher configured limit is refused
    smtp_host: str = ""
    imap_host: str = ""
    smtp_port: int = 587
    imap_port: int = 993
    hint: str = ""


PRESETS: dict[InboxType, Preset] = {
    InboxType.GOOGLE_WORKSPACE: Preset(
        max_daily_limit=2_000,
        smtp_host="smtp.gmail.com",
        imap_host="imap.gmail.com",
        hint="use an app password made at https://myaccount.google.com/apppasswords",
    ),
    InboxType.OUTLOOK_365: Preset(
        max_daily_limit=10_000,
        smtp_host="smtp.office365.com",
        imap_host="outlook.office365.com",
        hint="use an app password; SMTP AUTH must be switched on for the mailbox",
    ),
    InboxType.CUSTOM_SMTP: Preset(
        max_daily_limit=100_000,
        hint="use an app password if the provider has them",
    ),
}
