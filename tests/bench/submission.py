"""A submission server that costs next to nothing: STARTTLS, AUTH PLAIN, PIPELINING; takes every mail.

What `smtp-sink` is on plain TCP: a server whose own work is not what is measured.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import Any

_END = b"\r\n.\r\n"
_HELLO = b"250-far.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"


class Session(asyncio.Protocol):
    """One connection; nothing but EHLO, STARTTLS and QUIT before the log-in."""

    def __init__(self, context: ssl.SSLContext, username: str, password: str) -> None:
        self._context = context
        self._secret = b64encode(f"\0{username}\0{password}".encode())
        self._transport: Any = None
        self._secured: asyncio.Task[None] | None = None
        self._tls = self._logged_in = self._in_content = False
        self._unread = b""
        self._replies: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if not self._tls:
            self._transport.write(b"220 far.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while self._content() if self._in_content else self._line():
            pass
        replies, self._replies = b"".join(self._replies), []
        if replies and not self._transport.is_closing():
            self._transport.write(replies)

    def _content(self) -> bool:
        end = self._unread.find(_END)
        if end < 0:
            return False
        self._unread = self._unread[end + len(_END) :]
        self._in_content = False
        self._replies.append(b"250 2.0.0 Ok\r\n")
        return True

    def _line(self) -> bool:
        line, found, rest = self._unread.partition(b"\r\n")
        if not found:
            return False
        self._unread = rest
        verb, _, argument = line.partition(b" ")
        answer = self._open if self._logged_in else self._closed
        self._replies.append(answer(verb.upper(), argument))
        return True

    def _closed(self, verb: bytes, argument: bytes) -> bytes:
        if verb == b"STARTTLS" and not self._tls:
            self._tls, self._unread = True, b""  # nothing said in clear counts inside of TLS
            self._secured = asyncio.ensure_future(self._secure())
            return b"220 2.0.0 go ahead\r\n"
        if verb == b"AUTH" and self._tls:
            self._logged_in = argument == b"PLAIN " + self._secret
            return b"235 2.7.0 welcome\r\n" if self._logged_in else b"535 5.7.8 no\r\n"
        return self._always(verb) or b"530 5.7.0 log in first\r\n"

    def _open(self, verb: bytes, argument: bytes) -> bytes:
        if verb in (b"MAIL", b"RCPT", b"RSET", b"NOOP"):
            return b"250 2.1.0 Ok\r\n"
        if verb == b"DATA":
            # A mail of nothing is a dot behind the line end of its DATA.
            self._unread, self._in_content = b"\r\n" + self._unread, True
            return b"354 end it with a dot\r\n"
        return self._always(verb) or b"502 5.5.1 no such command\r\n"

    def _always(self, verb: bytes) -> bytes:
        if verb == b"QUIT":
            asyncio.get_running_loop().call_soon(self._transport.close)
            return b"221 2.0.0 bye\r\n"
        if verb in (b"EHLO", b"HELO"):
            return _HELLO + (b"250 AUTH PLAIN\r\n" if self._tls else b"250 STARTTLS\r\n")
        return b""

    async def _secure(self) -> None:
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(self._transport, self, self._context, server_side=True)
        assert secured is not None
        self._transport = secured


def sessions(
    context: ssl.SSLContext, username: str, password: str
) -> Callable[[], asyncio.Protocol]:
    return lambda: Session(context, username, password)
