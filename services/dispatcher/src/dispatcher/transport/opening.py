"""Opening a session: TCP, EHLO, STARTTLS, AUTH, by aiosmtplib; then its transport is ours."""

import asyncio
import ssl
from typing import cast

import aiosmtplib

from dispatcher.transport.connection import Connection
from dispatcher.transport.deadline import Timeouts
from dispatcher.transport.habits import Habits
from dispatcher.transport.resuming import ResumingContext
from postfleet.echoes import without
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.smtp import PermanentFailure, SmtpReply, TransientFailure, auth_mechanism


async def connect(
    server: MailServer,
    password: str,
    *,
    tls_context: ssl.SSLContext,
    local_hostname: str,
    timeouts: Timeouts,
    habits: Habits | None = None,
) -> Connection:
    """Open a session and log in. Raises TransientFailure or PermanentFailure (a refused log-in).

    The password is never part of an error.
    """
    session = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security is SmtpSecurity.IMPLICIT,
        start_tls=False,  # done by hand below: "None" would send AUTH in clear
        tls_context=tls_context,
        local_hostname=local_hostname,
        timeout=timeouts.connect,
    )
    try:
        async with asyncio.timeout(timeouts.connect):
            await session.connect()
            if server.security is SmtpSecurity.STARTTLS:
                await session.starttls(tls_context=tls_context)
            await session.ehlo()
            if isinstance(tls_context, ResumingContext):
                tls_context.remember(server.host, session.transport)
            if server.username:
                await _log_in(session, server, password)
    except aiosmtplib.SMTPAuthenticationError as error:
        session.close()
        raise _auth_failure(_reply(error, server, password)) from None
    except aiosmtplib.SMTPResponseException as error:
        session.close()
        raise TransientFailure("the session was refused", _reply(error, server, password)) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        session.close()
        said = without(str(error), server.username, password)
        raise TransientFailure(f"{type(error).__name__}: {said}") from None
    return Connection(
        # uvloop's transports have the methods of asyncio.Transport without being one.
        cast(asyncio.Transport, session.transport),
        host=server.host,
        pipelining=session.supports_extension("pipelining"),
        smtputf8=session.supports_extension("smtputf8"),
        eightbitmime=session.supports_extension("8bitmime"),
        timeouts=timeouts,
        habits=habits,
    )


async def _log_in(session: aiosmtplib.SMTP, server: MailServer, password: str) -> None:
    mechanism = auth_mechanism(server.auth_method, session.server_auth_methods)
    if not mechanism:
        raise aiosmtplib.SMTPException(f"the server offers no log-in with {server.auth_method}")
    log_in = getattr(session, f"auth_{mechanism.replace('-', '')}")
    await log_in(server.username.encode(), password.encode())


def _reply(error: aiosmtplib.SMTPResponseException, server: MailServer, password: str) -> SmtpReply:
    """What the server said, without what it echoed of the log-in."""
    return SmtpReply(error.code, without(error.message, server.username, password))


def _auth_failure(reply: SmtpReply) -> TransientFailure | PermanentFailure:
    kind = PermanentFailure if reply.permanent else TransientFailure
    return kind("the log-in was refused", reply)
