"""`GET|HEAD /o/{token}.gif` and `/c/{token}`: answered from memory, before any routing.

Nothing here writes: a hit is noted and published later. Whatever is wrong with a token, the answer
is the same.
"""

import time
from collections.abc import Iterable
from http import HTTPStatus

from pymongo.errors import PyMongoError
from starlette.types import ASGIApp, Receive, Scope, Send

from postfleet import metrics
from postfleet.tokens import Purpose, TokenContent, TokenKeys
from tracker.api.clients import Clients
from tracker.api.heads import Fields
from tracker.api.requests import hit_from, hit_of
from tracker.destinations import Destinations
from tracker.domain.hits import HitKind
from tracker.intake import Intake

#: One transparent pixel: 43 bytes.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
NOT_FOUND = b"There is nothing at this address.\n"

_OPEN, _CLICK = "/o/", "/c/"
HOT_PATHS = (b"/o/", b"/c/")
_ROUTES = {_OPEN: "/o/{token}.gif", _CLICK: "/c/{token}"}
_NO_STORE = (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0")
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), _NO_STORE)

Headers = Iterable[tuple[bytes, bytes]]
Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]


def _answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    length = (b"content-length", str(len(body)).encode())
    return status, (*_SAFE, *headers, length), body


def _head(answer: Answer) -> bytes:
    """Status line and fields, to which a date and an empty line are added."""
    status, headers, _ = answer
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return line + b"".join(b"%b: %b\r\n" % pair for pair in headers)


_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NO_ROBOTS = (b"x-robots-tag", b"noindex, nofollow")
_PIXEL = _answer(
    200,
    PIXEL,
    (b"content-type", b"image/gif"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
_PIXEL_HEAD = _head(_PIXEL)
_MISSING = _answer(404, NOT_FOUND, _TEXT)
_NOT_ALLOWED = _answer(405, b"Only GET and HEAD.\n", _TEXT, (b"allow", b"GET, HEAD"))
_UNAVAILABLE = _answer(503, b"Please try again.\n", _TEXT, (b"retry-after", b"2"))
_BUSY = _answer(429, b"Too many requests.\n", _TEXT, (b"retry-after", b"10"))


def _redirect(target: str) -> Answer:
    return _answer(302, b"", (b"location", target.encode()), _NO_ROBOTS)


_answered = {
    HitKind.OPENED: metrics.http_requests.labels("tracker", _ROUTES[_OPEN], "200"),
    HitKind.CLICKED: metrics.http_requests.labels("tracker", _ROUTES[_CLICK], "302"),
}


def count_answered(kind: HitKind, count: int) -> None:
    """Count requests that were noted as hits: they were answered with what they asked for."""
    if kind in _answered:
        _answered[kind].inc(count)


class Tracking:
    """What a hit is answered. `at_once` needs no waiting; `answer` may look into the database."""

    def __init__(
        self, keys: TokenKeys, destinations: Destinations, intake: Intake, clients: Clients
    ) -> None:
        self._keys = keys
        self._destinations = destinations
        self._intake = intake
        self.clients = clients
        self._redirects: dict[str, bytes] = {}  # heads, by destination

    def at_once(
        self, method: str, path: str, peer: tuple[str, int] | None, fields: Fields
    ) -> tuple[bytes, bytes] | None:
        """Head and body for a good hit; None for all that is not one, or needs more than memory."""
        if path.startswith(_OPEN):
            content, kind = self._opening(path), HitKind.OPENED
            head, body = _PIXEL_HEAD, PIXEL
        else:
            content, kind = self._keys.read(Purpose.CLICK, path[len(_CLICK) :]), HitKind.CLICKED
            target = self._destinations.known(content.link_id) if content else None
            if target is None:
                return None
            head, body = self._redirect_head(target), b""
        if content is None:
            return None
        client = self.clients.behind(peer, fields.get("x-forwarded-for", ""))
        if not self.clients.may(client):
            return None
        self._intake.note(hit_of(client, method, fields, kind, content))
        return head, body

    async def answer(self, scope: Scope) -> Answer:
        """The answer to any request of these paths."""
        path, headers = scope["path"], scope["headers"]
        if scope["method"] not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        client = self.clients.of(scope.get("client"), headers)
        if not self.clients.may(client):
            return _BUSY
        if path.startswith(_OPEN):
            content, kind, answer = self._opening(path), HitKind.OPENED, _PIXEL
        else:
            content = self._keys.read(Purpose.CLICK, path[len(_CLICK) :])
            kind, answer = HitKind.CLICKED, await self._destination(content)
        if content is None:
            return _MISSING
        if answer[0] < 400:
            self._intake.note(hit_from(client, scope["method"], headers, kind, content))
        return answer

    def _opening(self, path: str) -> TokenContent | None:
        if not path.endswith(".gif"):
            return None
        return self._keys.read(Purpose.OPEN, path[len(_OPEN) : -len(".gif")])

    async def _destination(self, content: TokenContent | None) -> Answer:
        if content is None:
            return _MISSING
        try:
            target = await self._destinations.find(content.link_id)
        except PyMongoError:
            return _UNAVAILABLE
        return _MISSING if target is None else _redirect(target)

    def _redirect_head(self, target: str) -> bytes:
        head = self._redirects.get(target)
        if head is None:
            if len(self._redirects) >= 10_000:
                self._redirects.clear()
            head = self._redirects[target] = _head(_redirect(target))
        return head


class TrackingPaths:
    """The two hot paths in front of the app; all others pass through."""

    def __init__(self, app: ASGIApp, tracking: Tracking) -> None:
        self._app = app
        self._tracking = tracking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if not path.startswith((_OPEN, _CLICK)):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = await self._tracking.answer(scope)
        await _send(answer, scope["method"], send)
        route = _ROUTES[path[: len(_OPEN)]]
        if answer[0] >= 400:  # a good one is counted with its hit
            metrics.http_requests.labels("tracker", route, str(answer[0])).inc()
        metrics.http_seconds.labels("tracker", route).observe(time.perf_counter() - started)


async def _send(answer: Answer, method: str, send: Send) -> None:
    status, headers, body = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
