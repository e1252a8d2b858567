"""`GET|HEAD /o/{token}.gif` and `/c/{token}`: answered from memory, before any routing.

Nothing here writes: a hit is noted and published later. Whatever is wrong with a token, the answer
is the same.
"""

import time

from pymongo.errors import PyMongoError
from starlette.types import ASGIApp, Receive, Scope, Send

from postfleet import metrics
from postfleet.tokens import Purpose, TokenKeys
from tracker.api.requests import hit_from
from tracker.destinations import Destinations
from tracker.domain.hits import HitKind
from tracker.intake import Intake

#: One transparent pixel: 43 bytes.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
NOT_FOUND = b"There is nothing at this address.\n"

_OPEN, _CLICK = "/o/", "/c/"
_NO_STORE = (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0")
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), _NO_STORE)

Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]


def _answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    length = (b"content-length", str(len(body)).encode())
    return status, (*_SAFE, *headers, length), body


_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_PIXEL = _answer(
    200,
    PIXEL,
    (b"content-type", b"image/gif"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
_MISSING = _answer(404, NOT_FOUND, _TEXT)
_NOT_ALLOWED = _answer(405, b"Only GET and HEAD.\n", _TEXT, (b"allow", b"GET, HEAD"))
_UNAVAILABLE = _answer(503, b"Please try again.\n", _TEXT, (b"retry-after", b"2"))


class TrackingPaths:
    """The two hot paths in front of the app; all others pass through."""

    def __init__(
        self, app: ASGIApp, keys: TokenKeys, destinations: Destinations, intake: Intake
    ) -> None:
        self._app = app
        self._keys = keys
        self._destinations = destinations
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if not path.startswith((_OPEN, _CLICK)):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        if path.startswith(_OPEN):
            route, answer = "/o/{token}.gif", self._pixel(scope, path)
        else:
            route, answer = "/c/{token}", await self._click(scope, path)
        await _send(answer, scope["method"], send)
        metrics.http_requests.labels("tracker", route, str(answer[0])).inc()
        metrics.http_seconds.labels("tracker", route).observe(time.perf_counter() - started)

    def _pixel(self, scope: Scope, path: str) -> Answer:
        if scope["method"] not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        if not path.endswith(".gif"):
            return _MISSING
        content = self._keys.read(Purpose.OPEN, path[len(_OPEN) : -len(".gif")])
        if content is None:
            return _MISSING
        self._intake.note(hit_from(scope, HitKind.OPENED, content))
        return _PIXEL

    async def _click(self, scope: Scope, path: str) -> Answer:
        if scope["method"] not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        content = self._keys.read(Purpose.CLICK, path[len(_CLICK) :])
        if content is None:
            return _MISSING
        target = self._destinations.known(content.link_id)
        if target is None:
            try:
                target = await self._destinations.find(content.link_id)
            except PyMongoError:
                return _UNAVAILABLE
        if target is None:
            return _MISSING
        self._intake.note(hit_from(scope, HitKind.CLICKED, content))
        return _answer(
            302, b"", (b"location", target.encode()), (b"x-robots-tag", b"noindex, nofollow")
        )


async def _send(answer: Answer, method: str, send: Send) -> None:
    status, headers, body = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
