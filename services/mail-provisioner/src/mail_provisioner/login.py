"""Whether a new mailbox can be used: one log-in over IMAP and one over submission."""

import asyncio
import imaplib
import smtplib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_TIMEOUT = 10.0  # seconds for each exchange


class LoginRefused(Exception):
    """The server answered, and said no."""


class MailServerUnreachable(Exception):
    """The server did not answer."""


#: (address, password); raises LoginRefused or MailServerUnreachable
TryLogin = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MailServerAddress:
    host: str
    imaps_port: int
    submission_port: int


def login_trial(server: MailServerAddress, tls: ssl.SSLContext) -> TryLogin:
    async def try_login(address: str, password: str) -> None:
        await asyncio.to_thread(_try_both, server, tls, address, password)

    return try_login


def _try_both(server: MailServerAddress, tls: ssl.SSLContext, address: str, password: str) -> None:
    try:
        with imaplib.IMAP4_SSL(
            server.host, server.imaps_port, ssl_context=tls, timeout=_TIMEOUT
        ) as imap:
            imap.login(address, password)
        with smtplib.SMTP(server.host, server.submission_port, timeout=_TIMEOUT) as smtp:
            smtp.starttls(context=tls)
            smtp.login(address, password)
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code < 500:
            raise MailServerUnreachable(f"SMTP answered {error.smtp_code}") from None
        raise LoginRefused(f"SMTP answered {error.smtp_code}") from None
    except (imaplib.IMAP4.abort, OSError) as error:  # smtplib's errors are OSErrors too
        raise MailServerUnreachable(str(error) or type(error).__name__) from None
    except imaplib.IMAP4.error as error:
        raise LoginRefused(f"IMAP answered {error}") from None
