"""How a connection is protected, from what the operator said and the port."""

from typing import Literal

from postfleet.events.senders import SmtpSecurity

IMPLICIT_TLS_PORT = 465  # RFC 8314 §3.3

Asked = Literal["auto", "starttls", "implicit", "none"]


def smtp_security(asked: Asked, port: int, use_tls: bool) -> SmtpSecurity:
    """`auto` is TLS from the first byte on 465, else STARTTLS; `use_tls` false is none at all."""
    if asked != "auto":
        return SmtpSecurity(asked)
    if not use_tls:
        return SmtpSecurity.NONE
    return SmtpSecurity.IMPLICIT if port == IMPLICIT_TLS_PORT else SmtpSecurity.STARTTLS


def imap_security(use_ssl: bool) -> SmtpSecurity:
    return SmtpSecurity.IMPLICIT if use_ssl else SmtpSecurity.NONE


def warnings(smtp_port: int, smtp: SmtpSecurity, imap: SmtpSecurity | None) -> tuple[str, ...]:
    """What is allowed and yet unwise, for the operator to read."""
    found = []
    if smtp_port == 25:
        found.append("port 25 is often blocked by internet providers; 587 works nearly everywhere")
    if smtp is SmtpSecurity.NONE:
        found.append("the SMTP password travels unencrypted")
    if imap is SmtpSecurity.NONE:
        found.append("the IMAP password travels unencrypted")
    return tuple(found)
