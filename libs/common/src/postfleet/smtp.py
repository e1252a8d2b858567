"""Values that the SMTP standards define: replies (RFC 5321 §4.2) and enhanced status (RFC 3463)."""

import re
from collections.abc import Collection
from typing import NamedTuple

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?:\s+|$)")


class SmtpReply(NamedTuple):
    """A whole reply; `text` has its lines joined by a newline, without the codes."""

    code: int
    text: str = ""

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 300

    @property
    def transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return 500 <= self.code < 600

    @property
    def enhanced_status(self) -> str:
        """`5.1.1`, or "" where the server gave none or one of another class."""
        found = _ENHANCED.match(self.text)
        if not found or int(found[1]) != self.code // 100:
            return ""
        return f"{found[1]}.{found[2]}.{found[3]}"

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def auth_mechanism(method: str, offered: Collection[str]) -> str:
    """The one SASL mechanism to try, in small letters; "" where the server offers none that fits.

    `method` is that of a sender: `password` or `xoauth2`. Of the others a second is never tried:
    over TLS they protect a password equally, and providers lock an account after several refusals.
    """
    fitting = ("xoauth2",) if method == "xoauth2" else ("plain", "login", "cram-md5")
    return next((mechanism for mechanism in fitting if mechanism in offered), "")


class SmtpFailure(Exception):
    """`reply` is None where the connection failed before one came."""

    def __init__(self, message: str, reply: SmtpReply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class TransientFailure(SmtpFailure):
    """4yz, or no connection: trying again later is right."""


class PermanentFailure(SmtpFailure):
    """5yz: trying again is wrong."""


class OutcomeUnknown(SmtpFailure):
    """The connection was lost between the final dot and its reply (RFC 1047): never resent blindly."""
