"""Whether a log-in over IMAP works: connect, TLS, LOGIN, LOGOUT (RFC 3501, RFC 5530)."""

import asyncio
import re
import socket
from base64 import b64encode

from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.tls import refusal
from sender_registry.connecting import Reach, certificate_until_ms, open_socket, step
from sender_registry.domain.validation import CheckFailed, Code, LoggedIn

_MAX_LINE_BYTES = 16 * 1024
_MAX_LINES = 100  # before the tagged answer; a log-in needs a handful
_SAFE = re.compile(rb"[\x20-\x7e]*")
#: response codes that say the server, not the password, is the cause
_NOT_NOW = (b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[SERVERBUG]")


async def imap_log_in(server: MailServer, password: str, reach: Reach) -> LoggedIn:
    """Log in and out again; `password` is a token where the server says xoauth2.

    Raises CheckFailed, or TimeoutError.
    """
    connection = await open_socket(server.host, server.port, reach)
    reader, writer = await _open(connection, server, reach)
    try:
        step("greeting")
        await _greeted(reader)
        step("auth")
        log_in = _xoauth2 if server.auth_method == "xoauth2" else _login
        await log_in(reader, writer, server.username.encode(), password.encode())
        until_ms = certificate_until_ms(writer.get_extra_info("ssl_object"))
        writer.write(b"a2 LOGOUT\r\n")  # not waited for: a slow goodbye is no failed log-in
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise CheckFailed(Code.CONNECTION_FAILED, "the connection was lost") from error
    finally:
        writer.close()
    detail = f"logged in to {server.host}:{server.port} ({server.security.value})"
    return LoggedIn(detail, until_ms)


async def _open(
    connection: socket.socket, server: MailServer, reach: Reach
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    tls = server.security is SmtpSecurity.IMPLICIT
    if tls:
        step("tls")
    try:
        return await asyncio.open_connection(
            sock=connection,
            limit=_MAX_LINE_BYTES,
            ssl=reach.tls if tls else None,
            server_hostname=server.host if tls else None,
        )
    except TimeoutError:
        raise
    except OSError as error:
        detail = f"no TLS from the first byte: {refusal(error)}"
        raise CheckFailed(Code.SSL_ERROR if tls else Code.CONNECTION_FAILED, detail) from error


async def _greeted(reader: asyncio.StreamReader) -> None:
    greeting = await _line(reader)
    if not greeting.upper().startswith(b"* OK"):  # PREAUTH would prove no password
        raise CheckFailed(Code.CONNECTION_FAILED, "the greeting is not that of an IMAP server")


async def _login(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, username: bytes, password: bytes
) -> None:
    writer.write(b"a1 LOGIN ")
    for value, end in ((username, b" "), (password, b"\r\n")):
        if _SAFE.fullmatch(value):
            writer.write(_quoted(value) + end)
            continue
        writer.write(b"{%d}\r\n" % len(value))
        if not (await _answer(reader, b"a1", continuation=True)).startswith(b"+"):
            raise CheckFailed(Code.AUTH_FAILED, "the server takes no such user name or password")
        writer.write(value + end)
    await writer.drain()
    _judge(await _answer(reader, b"a1"))


async def _xoauth2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, username: bytes, token: bytes
) -> None:
    writer.write(b"a1 AUTHENTICATE XOAUTH2\r\n")
    answer = await _answer(reader, b"a1", continuation=True)
    if not answer.startswith(b"+"):
        raise CheckFailed(Code.AUTH_FAILED, "the server offers no log-in with OAuth (XOAUTH2)")
    proof = b"user=%b\x01auth=Bearer %b\x01\x01" % (username, token)
    writer.write(b64encode(proof) + b"\r\n")
    answer = await _answer(reader, b"a1", continuation=True)
    if answer.startswith(b"+"):  # the reason, as JSON; an empty line asks for the refusal itself
        writer.write(b"\r\n")
        answer = await _answer(reader, b"a1")
    _judge(answer)


def _judge(answer: bytes) -> None:
    answer = answer.upper()
    if answer.startswith(b"A1 OK"):
        return
    if answer.startswith(b"A1 NO") and not any(code in answer for code in _NOT_NOW):
        raise CheckFailed(Code.AUTH_FAILED, "user name or password refused")
    raise CheckFailed(Code.CONNECTION_FAILED, "the server checks no log-ins now")


def _quoted(value: bytes) -> bytes:
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


async def _answer(reader: asyncio.StreamReader, tag: bytes, *, continuation: bool = False) -> bytes:
    """The line that answers `tag`, or asks for more. Raises CheckFailed after too many others."""
    for _ in range(_MAX_LINES):
        line = await _line(reader)
        if line.lower().startswith(tag + b" ") or (continuation and line.startswith(b"+")):
            return line
    raise CheckFailed(Code.CONNECTION_FAILED, "the server does not answer the log-in")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError as error:  # longer than the limit
        raise CheckFailed(Code.CONNECTION_FAILED, "a line of the server is too long") from error
    if not line.endswith(b"\n"):
        raise CheckFailed(Code.CONNECTION_FAILED, "the server closed the connection")
    return line
