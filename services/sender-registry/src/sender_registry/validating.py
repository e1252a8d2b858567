"""Both log-ins of a sender, tested side by side."""

import asyncio
from dataclasses import dataclass

from postfleet.events.senders import MailServer
from sender_registry.connecting import Reach, timed
from sender_registry.domain.validation import Check
from sender_registry.imap_check import imap_log_in
from sender_registry.smtp_check import smtp_log_in


@dataclass(frozen=True, slots=True)
class LogIn:
    """A server and its password; the password is in no repr."""

    server: MailServer
    password: str

    def __repr__(self) -> str:
        return f"LogIn({self.server!r})"


@dataclass(frozen=True, slots=True)
class Validation:
    """`imap` is None where the sender has no IMAP."""

    smtp: Check
    imap: Check | None

    @property
    def smtp_code(self) -> str:
        return self.smtp.code or ""

    @property
    def imap_code(self) -> str:
        return (self.imap.code or "") if self.imap else ""


async def validate(smtp: LogIn, imap: LogIn | None, reach: Reach) -> Validation:
    """Takes as long as the slower of the two, at most `reach.timeout_seconds`."""
    smtp_check = timed(smtp_log_in, smtp.server, smtp.password, reach)
    if imap is None:
        return Validation(await smtp_check, None)
    imap_check = timed(imap_log_in, imap.server, imap.password, reach)
    return Validation(*await asyncio.gather(smtp_check, imap_check))
