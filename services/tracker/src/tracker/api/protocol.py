"""HTTP as uvicorn speaks it, with a short way for pixels and clicks, and limits on a request's head.

A hit needs no task, no scope and no middleware: it is answered as soon as its head is read. All other
requests take uvicorn's own way. A head must be complete in time and may not be endless.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tracker.api.tracking import HOT_PATHS, Tracking

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 32 * 1024
_TOO_LARGE = b"HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_END = b"\r\n\r\n"
_HOT_LINES = tuple(b"GET " + path for path in HOT_PATHS)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
#: With any of these it is no ordinary GET: the parser knows what to do.
_UNUSUAL = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"connection",
        b"te",
        b"trailer",
    }
)
_CLOSE = b"connection: close\r\n\r\n"


class TrackingProtocol(HttpToolsProtocol):
    """`tracking` is set by the subclass that `protocol_for` makes."""

    tracking: Tracking
    _in_message = False
    _in_head = False
    _hot = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if data.startswith(_HOT_LINES) and not self._in_message and self._quick(data):
            return
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > _HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_read()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_message, self._in_head, self._hot = True, True, False

    def on_headers_complete(self) -> None:
        self._head_is_read()
        if self.url.startswith(HOT_PATHS):
            keep = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
            if self._answer(self.parser.get_method(), self.url, self.headers, keep=keep):
                self._hot = True
                return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._hot:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if not self._hot:
            super().on_message_complete()

    def _head_is_read(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _quick(self, data: bytes) -> bool:
        """Answer a whole and ordinary GET without the parser; False if it is anything else."""
        if not data.endswith(_END) or data.count(b"\n") != data.count(b"\r\n"):
            return False
        lines = data[:-4].lower().split(b"\r\n")
        first = data[: len(lines[0])].split(b" ")
        if len(first) != 3 or first[2] != b"HTTP/1.1":
            return False
        headers = []
        place = len(lines[0]) + 2
        for line in lines[1:]:
            name, colon, _ = line.partition(b":")
            if not colon or name in _UNUSUAL or not _NAME.fullmatch(name):
                return False
            headers.append((name, data[place + len(name) + 1 : place + len(line)].strip(b" \t")))
            place += len(line) + 2
        self._unset_keepalive_if_required()
        if self._head_timer is not None:
            self._head_is_read()
        return self._answer(first[0], first[1], headers, keep=True)

    def _answer(
        self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]], *, keep: bool
    ) -> bool:
        """Answer a hit from memory; False if it must go the long way."""
        if self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            return False
        if self.flow.write_paused or self.transport.is_closing():
            return False
        head = self.tracking.at_once(method, url, self.client, headers)
        if head is None:
            return False
        fields, body = head
        date = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
        self.transport.write(b"".join((fields, date, b"\r\n" if keep else _CLOSE, body)))
        if keep:
            self.on_response_complete()
        else:
            self.transport.close()
        return True


def protocol_for(tracking: Tracking) -> type[TrackingProtocol]:
    """The protocol class for one server; uvicorn makes an instance for each connection."""
    attributes: dict[str, Any] = {"tracking": tracking}
    return type("Protocol", (TrackingProtocol,), attributes)
