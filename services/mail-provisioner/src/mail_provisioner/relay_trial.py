"""Whether a relay can be used: STARTTLS, and the log-in if there is one."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass

from mail_provisioner.domain.relays import explain

_TIMEOUT = 10.0  # seconds for each exchange


@dataclass(frozen=True, slots=True)
class RelayRefused(Exception):
    code: str
    reason: str
    field: str

    def __str__(self) -> str:
        return self.reason


async def try_relay(
    host: str, port: int, username: str, password: str, tls: ssl.SSLContext
) -> None:
    """Raises RelayRefused."""
    await asyncio.to_thread(_try, host, port, username, password, tls)


def _try(host: str, port: int, username: str, password: str, tls: ssl.SSLContext) -> None:
    try:
        with smtplib.SMTP(host, port, timeout=_TIMEOUT) as smtp:
            smtp.ehlo()
            if not smtp.has_extn("starttls"):
                reason = f"{host}:{port} offers no STARTTLS: mail and password would go in clear"
                raise RelayRefused("RELAY_WITHOUT_STARTTLS", reason, "host")
            smtp.starttls(context=tls)
            if username:
                smtp.login(username, password)
    except smtplib.SMTPAuthenticationError as error:
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        reason = f"the relay answered {error.smtp_code} {text}"
        if hint := explain(text):
            reason = f"{reason}. {hint}"
        raise RelayRefused("RELAY_LOGIN_REFUSED", reason, "password") from None
    except smtplib.SMTPNotSupportedError as error:
        raise RelayRefused("RELAY_WITHOUT_LOGIN", str(error), "username") from None
    except (OSError, smtplib.SMTPException) as error:
        reason = f"{host}:{port}: {str(error) or type(error).__name__}"
        raise RelayRefused("RELAY_UNREACHABLE", reason, "host") from None
