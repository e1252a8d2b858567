"""What is said to the commands of an SMTP client: EHLO, AUTH, MAIL and RCPT."""

import logging
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    from dispatcher.relay_server import RelayServer
    from dispatcher.relay_session import RelaySession

log = logging.getLogger(__name__)

_NEEDS_SMTPUTF8 = "553 5.6.7 This address needs SMTPUTF8 (RFC 6531)"
_NO_AUTHOR = "550 5.7.1 <{}> is no sender that you may write as"


def keep(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    """aiosmtpd's authenticators cannot wait for anybody: what was given is checked by the hook."""
    return AuthResult(success=True, handled=True, auth_data=data)


class Hooks:
    """aiosmtpd's handler: names and signatures are its own."""

    def __init__(self, server: "RelayServer") -> None:
        self._server = server

    async def handle_EHLO(
        self,
        session: "RelaySession",
        _: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Announce what is there, and nothing that is not."""
        assert session.session is not None
        session.session.host_name = hostname
        known = [line for line in responses[:-1] if not line.startswith("250-AUTH")]
        if session.submission and session.secure:
            known.append("250-AUTH LOGIN PLAIN")
        return [*known, "250-PIPELINING", "250 ENHANCEDSTATUSCODES"]

    async def handle_AUTH(
        self, session: "RelaySession", _: Session, envelope: Envelope, args: list[str]
    ) -> str | None:
        mechanism = {"PLAIN": session.auth_PLAIN, "LOGIN": session.auth_LOGIN}[args[0]]
        result = await mechanism(session, args)
        if not isinstance(result, AuthResult) or not isinstance(result.auth_data, LoginPassword):
            return None  # it was answered already
        given = result.auth_data
        login = given.login.decode("utf-8", "replace")
        access = self._server.access
        if access.locked(session.ip, login):
            return "454 4.7.0 Too many log-ins failed; try again in ten minutes"
        found = await access.log_in(session.ip, login, given.password)
        if found is None:
            log.warning("log-in of %r from %s refused", login[:100], session.ip)
            return "535 5.7.8 The log-in or the password is wrong"
        assert session.session is not None
        session.session.authenticated = True
        session.login = found
        return "235 2.7.0 Welcome"

    async def handle_MAIL(
        self,
        session: "RelaySession",
        _: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        envelope.smtp_utf8 = "SMTPUTF8" in options
        if not address.isascii() and not envelope.smtp_utf8:
            return _NEEDS_SMTPUTF8
        author = await self._server.access.author(session.login, session.ip, address)
        if author is None and session.login is None and session.submission:
            return "530 5.7.0 Log in first, or hand in from a network that the sender lets in"
        if author is None:
            return _NO_AUTHOR.format(address)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self,
        session: "RelaySession",
        _: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Each recipient is answered by itself; the same one again is the same one."""
        if not address.isascii() and not envelope.smtp_utf8:
            return _NEEDS_SMTPUTF8
        if len(envelope.rcpt_tos) >= self._server.limits.max_recipients:
            return "452 4.5.3 Too many recipients: hand the mail in again for the others"
        if address not in envelope.rcpt_tos:
            envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"
