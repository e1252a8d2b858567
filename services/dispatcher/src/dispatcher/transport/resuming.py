"""TLS sessions go on over connections (RFC 8446 §2.2, RFC 5077): a resumed handshake has no certificates
to check, which is most of what a handshake costs.

A session is the server's, not the sender's: who logs in is said inside of it, each time.
"""

import asyncio
import ssl
from collections import OrderedDict
from typing import Any

_MOST = 1000  # servers


class ResumingContext(ssl.SSLContext):
    """Verifies as the context that it is made from, and offers each server its last session.

    asyncio and uvloop make their TLS objects by `wrap_bio`, so it is done here.
    """

    def __init__(self, _: int = 0) -> None:
        super().__init__()
        self._sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    @classmethod
    def like(cls, ca_file: str | None) -> "ResumingContext":
        """As postfleet.tls.client_context: the system's authorities and those of `ca_file`."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_default_certs()
        if ca_file:
            context.load_verify_locations(ca_file)
        return context

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        name = more.get("server_hostname")
        if name and more.get("session") is None:
            more["session"] = self._sessions.get(name)
        return super().wrap_bio(*args, **more)

    def remember(self, name: str, transport: asyncio.BaseTransport | None) -> None:
        """After the first reply inside of TLS: TLS 1.3 sends its tickets behind the handshake."""
        secured = transport.get_extra_info("ssl_object") if transport is not None else None
        session = secured.session if secured is not None else None
        if session is None or (not session.has_ticket and not session.id):
            return
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        if len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
