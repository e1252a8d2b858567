"""HTTP as uvicorn speaks it, with a short way for pixels and clicks, and limits on a request's head.

A hit needs no task, no scope and no middleware: it is answered as soon as its head is read. All other
requests take uvicorn's own way. A head must be complete in time and may not be endless.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tracker.api.tracking import HOT_PATHS, Tracking

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 32 * 1024
_TOO_LARGE = b"HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CLOSE = b"connection: close\r\n\r\n"


class TrackingProtocol(HttpToolsProtocol):
    """`tracking` is set by the subclass that `protocol_for` makes."""

    tracking: Tracking
    _in_head = False
    _hot = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
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
        self._in_head, self._hot = True, False

    def on_headers_complete(self) -> None:
        self._head_is_read()
        if self.url.startswith(HOT_PATHS) and self._answer():
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
        if not self._hot:
            super().on_message_complete()

    def _head_is_read(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _answer(self) -> bool:
        """Answer a hit from memory; False if it must go the long way."""
        if self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            return False
        parser = self.parser
        head = self.tracking.at_once(parser.get_method(), self.url, self.client, self.headers)
        if head is None or self.flow.write_paused:
            return False
        fields, body = head
        keep = parser.should_keep_alive() and parser.get_http_version() == "1.1"
        date = b"".join(b"%b: %b\r\n" % pair for pair in self.server_state.default_headers)
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
