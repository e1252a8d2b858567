"""HTTP as uvicorn speaks it, with a short way for pixels and clicks, and limits on a request's head.

A hit needs no task, no scope and no middleware: it is answered as soon as its head is read. All other
requests take uvicorn's own way. A head must be complete in time and may not be endless.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tracker.api import heads
from tracker.api.tracking import HOT_PATHS, Tracking

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 32 * 1024
_TOO_LARGE = b"HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_HOT_LINES = tuple(b"GET " + path for path in HOT_PATHS)
_CLOSE = b"connection: close\r\n\r\n"


class TrackingProtocol(HttpToolsProtocol):
    """`tracking` is set by the subclass that `protocol_for` makes."""

    tracking: Tracking
    _in_message = False
    _in_head = False
    _hot = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _answered_at = 0.0  # by the loop's clock
    _dated: tuple[object, bytes] = (None, b"")

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
        if self.url.startswith(HOT_PATHS) and self._answer_parsed():
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
        if (head := heads.read(data)) is None or not self._free():
            return False
        answer = self.tracking.at_once("GET", head[0], self.client, head[1])
        if answer is None:
            return False
        self.transport.write(b"".join((answer[0], self._date(), b"\r\n", answer[1])))
        if self._head_timer is not None:
            self._head_is_read()
        self._kept_alive()
        return True

    def _answer_parsed(self) -> bool:
        """Answer a hit from memory, with a head that needed the parser; False if it must go on."""
        method, path = self.parser.get_method().decode(), self.url.decode("latin-1")
        if method not in ("GET", "HEAD") or not self._free():
            return False
        fields = heads.of_interest(self.headers)
        if (answer := self.tracking.at_once(method, path, self.client, fields)) is None:
            return False
        keep = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        body = answer[1] if method == "GET" else b""
        end = b"\r\n" if keep else _CLOSE
        self.transport.write(b"".join((answer[0], self._date(), end, body)))
        if keep:
            self._kept_alive()
        else:
            self.transport.close()
        return True

    def _free(self) -> bool:
        """Whether nothing else is being answered, and the client takes what it gets."""
        busy = self.pipeline or (self.cycle is not None and not self.cycle.response_complete)
        return not (busy or self.flow.write_paused or self.transport.is_closing())

    def _date(self) -> bytes:
        """The fields that uvicorn makes anew each second."""
        made = self.server_state.default_headers
        if self._dated[0] is not made:
            self._dated = made, b"".join([b"%b: %b\r\n" % pair for pair in made])
        return self._dated[1]

    def _kept_alive(self) -> None:
        """One timer a connection, not one a request: it looks at the time when it goes off."""
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait(self.timeout_keep_alive)

    def _wait(self, seconds: float) -> None:
        waiting = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        self.timeout_keep_alive_task = waiting

    def timeout_keep_alive_handler(self) -> None:
        left = self.timeout_keep_alive - (self.loop.time() - self._answered_at)
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()


def protocol_for(tracking: Tracking) -> type[TrackingProtocol]:
    """The protocol class for one server; uvicorn makes an instance for each connection."""
    attributes: dict[str, Any] = {"tracking": tracking}
    return type("Protocol", (TrackingProtocol,), attributes)
