"""Whether a log-in over SMTP works: connect, EHLO, TLS, AUTH, QUIT."""

import asyncio
from typing import cast

import aiosmtplib
from aiosmtplib import SMTP

from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.smtp import SmtpReply, auth_mechanism
from postfleet.tls import refusal
from sender_registry.connecting import Reach, certificate_until_ms, open_socket, step
from sender_registry.domain.validation import CheckFailed, Code, LoggedIn

#: what providers mean by a code
_REMEDIES = {
    (534, "5.7.9"): "the provider wants an app password",
    (535, "5.7.139"): "the provider has switched log-ins with a password off; use OAuth",
    (550, "5.7.30"): "the provider takes no passwords any more; use OAuth",
}


async def smtp_log_in(server: MailServer, password: str, reach: Reach) -> LoggedIn:
    """Log in and out again; `password` is a token where the server says xoauth2.

    Raises CheckFailed, or TimeoutError.
    """
    connection = await open_socket(server.host, server.port, reach)
    # Our caller's deadline covers all; aiosmtplib's own timeouts must not come first.
    client = SMTP(
        hostname=server.host,
        sock=connection,
        port=None,
        timeout=reach.timeout_seconds * 2,
        use_tls=server.security is SmtpSecurity.IMPLICIT,
        start_tls=False,  # done below, where its failure can be told apart
        tls_context=reach.tls,
        local_hostname=reach.ehlo_name,
    )
    try:
        await _greet(client, server)
        if server.security is SmtpSecurity.STARTTLS:
            await _start_tls(client)
        await _authenticate(client, server, password)
        tls = cast(asyncio.WriteTransport, client.transport).get_extra_info("ssl_object")
        until_ms = certificate_until_ms(tls)
        _say_goodbye(client)
    finally:
        client.close()  # the socket is its transport's, and ends with it
    detail = f"logged in to {server.host}:{server.port} ({server.security.value})"
    return LoggedIn(detail, until_ms)


def _say_goodbye(client: SMTP) -> None:
    """QUIT, without waiting for the answer: a slow goodbye is no failed log-in."""
    cast(asyncio.WriteTransport, client.transport).write(b"QUIT\r\n")


async def _greet(client: SMTP, server: MailServer) -> None:
    # TLS from the first byte and the greeting behind it are one act of aiosmtplib's.
    step("tls" if server.security is SmtpSecurity.IMPLICIT else "greeting")
    try:
        await client.connect()
        step("greeting")
        await client.ehlo()
    except aiosmtplib.SMTPTimeoutError as error:
        raise TimeoutError from error
    except aiosmtplib.SMTPException as error:
        if server.security is SmtpSecurity.IMPLICIT and _is_below_smtp(error.__cause__):
            raise CheckFailed(
                Code.SSL_ERROR, f"no TLS from the first byte: {_reason(error.__cause__)}"
            ) from error
        raise CheckFailed(Code.CONNECTION_FAILED, _unexpected("greeting", error)) from error
    except OSError as error:
        raise CheckFailed(Code.CONNECTION_FAILED, "the connection was lost") from error


async def _start_tls(client: SMTP) -> None:
    if not client.supports_extension("starttls"):
        raise CheckFailed(Code.SSL_ERROR, "the server does not offer STARTTLS")
    step("tls")
    try:
        await client.starttls()
        await client.ehlo()
    except aiosmtplib.SMTPTimeoutError as error:
        raise TimeoutError from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise CheckFailed(Code.SSL_ERROR, f"STARTTLS failed: {_reason(error)}") from error


async def _authenticate(client: SMTP, server: MailServer, password: str) -> None:
    mechanism = auth_mechanism(server.auth_method, client.server_auth_methods)
    if not mechanism:
        kind = "OAuth (XOAUTH2)" if server.auth_method == "xoauth2" else "a password"
        raise CheckFailed(Code.AUTH_FAILED, f"the server offers no log-in with {kind}")
    step("auth")
    log_in = getattr(client, f"auth_{mechanism.replace('-', '')}")
    try:
        await log_in(server.username.encode(), password.encode())
    except aiosmtplib.SMTPTimeoutError as error:
        raise TimeoutError from error
    except aiosmtplib.SMTPAuthenticationError as error:
        raise _refused(SmtpReply(error.code, error.message)) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise CheckFailed(Code.CONNECTION_FAILED, _unexpected("log-in", error)) from error


def _refused(reply: SmtpReply) -> CheckFailed:
    """Codes only: the server's text may say anything."""
    said = f"{reply.code} {reply.enhanced_status}".strip()
    if remedy := _REMEDIES.get((reply.code, reply.enhanced_status)):
        return CheckFailed(Code.AUTH_FAILED, f"{remedy} ({said})")
    if reply.permanent:
        return CheckFailed(Code.AUTH_FAILED, f"user name or password refused ({said})")
    return CheckFailed(Code.CONNECTION_FAILED, f"the server checks no log-ins now ({said})")


def _is_below_smtp(cause: BaseException | None) -> bool:
    return isinstance(cause, OSError) and not isinstance(cause, aiosmtplib.SMTPException)


def _reason(error: BaseException | None) -> str:
    """What OpenSSL says, with the remedy; else the kind of error."""
    cause = error if not isinstance(error, aiosmtplib.SMTPException) else error.__cause__ or error
    return refusal(cause)


def _unexpected(where: str, error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException) and 200 <= error.code < 600:
        return f"unexpected answer in the {where} ({error.code})"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"what came in the {where} is not SMTP"
    return f"the connection was lost in the {where}"
