"""`Idempotency-Key` on POST: the same key and body get the same answer; another body gets 409."""

import json
import logging
from hashlib import sha256
from typing import Any

from pymongo.errors import DuplicateKeyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postfleet.instants import now_ms
from postfleet.mongo import Collection
from postfleet.problems import Problem

log = logging.getLogger(__name__)

_MAX_KEY = 256
_MAX_BODY = 30 * 1024 * 1024
_KEPT_MS = 24 * 3600 * 1000
_RUNNING_MS = 60_000  # a request that is still "running" after this had its process killed


class IdempotencyMiddleware:
    """Keeps the successful answers of keyed POST requests for 24 hours in `collection`.

    An answer with `Cache-Control: no-store` is not kept.
    """

    def __init__(self, app: ASGIApp, collection: Collection) -> None:
        self._app = app
        self._collection = collection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers") or ())
        key = headers.get(b"idempotency-key", b"").decode("latin-1")
        if scope["type"] != "http" or scope["method"] != "POST" or not key:
            await self._app(scope, receive, send)
            return
        if len(key) > _MAX_KEY:
            problem = Problem(422, "INVALID", f"Idempotency-Key is longer than {_MAX_KEY}")
            await problem.response()(scope, receive, send)
            return
        caller = headers.get(b"x-api-key", b"")
        identity = sha256(b"\x1f".join((caller, scope["path"].encode(), key.encode()))).hexdigest()
        try:
            await self._once(identity, await _read(receive), scope, send)
        except Problem as problem:
            await problem.response()(scope, _empty, send)

    async def _once(self, identity: str, body: bytes, scope: Scope, send: Send) -> None:
        digest = sha256(body).hexdigest()
        stored = await self._claim(identity, digest)
        if stored is not None:
            await _replay(stored, send)
            return
        answer = _Recorder(send)
        try:
            await self._app(scope, _replaying(body), answer)
        finally:
            await self._finish(identity, answer)

    async def _claim(self, identity: str, digest: str) -> dict[str, Any] | None:
        """None if the request is ours to run, else the stored answer. Raises Problem (409)."""
        claim = {"_id": identity, "digest": digest, "state": "running", "at": now_ms()}
        try:
            await self._collection.insert_one(claim)
            return None
        except DuplicateKeyError:
            pass
        known = await self._collection.find_one({"_id": identity})
        if known is None:
            return await self._claim(identity, digest)
        age = now_ms() - known["at"]
        if age > (_RUNNING_MS if known["state"] == "running" else _KEPT_MS):
            await self._collection.delete_one({"_id": identity, "at": known["at"]})
            return await self._claim(identity, digest)
        if known["digest"] != digest:
            raise Problem(409, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key had another body")
        if known["state"] == "running":
            raise Problem(409, "IN_PROGRESS", "the first request with this key is still running")
        stored: dict[str, Any] = known
        return stored

    async def _finish(self, identity: str, answer: "_Recorder") -> None:
        # Nothing was created, or the answer holds a secret: nothing is kept, the next try runs again.
        if not 200 <= answer.status < 300 or (b"cache-control", b"no-store") in answer.headers:
            await self._collection.delete_one({"_id": identity})
            return
        update = {
            "state": "done",
            "status": answer.status,
            "headers": json.dumps([[k.decode(), v.decode()] for k, v in answer.headers]),
            "body": answer.body.decode(),
        }
        await self._collection.update_one({"_id": identity}, {"$set": update})


class _Recorder:
    """A send that passes everything on and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        await self._send(message)


async def _read(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "DISCONNECTED", "the request ended early")
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            raise Problem(413, "TOO_LARGE", f"more than {_MAX_BODY} bytes")
        if not message.get("more_body"):
            return body


def _replaying(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _empty() -> Message:
    return {"type": "http.disconnect"}


async def _replay(stored: dict[str, Any], send: Send) -> None:
    headers = [(k.encode(), v.encode()) for k, v in json.loads(stored["headers"])]
    headers.append((b"idempotent-replayed", b"true"))
    await send({"type": "http.response.start", "status": stored["status"], "headers": headers})
    await send({"type": "http.response.body", "body": stored["body"].encode()})
