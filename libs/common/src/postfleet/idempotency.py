"""`Idempotency-Key` on POST: the same key and body get the same answer; another body gets 409."""

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postfleet.instants import now_ms
from postfleet.mongo import Collection, ensure_indexes
from postfleet.outages import Unavailable
from postfleet.problems import FieldError, Problem, unavailable
from postfleet.secrets import KeyRing

log = logging.getLogger(__name__)

_MAX_KEY = 256
_MAX_BODY = 30 * 1024 * 1024
_KEPT_MS = 24 * 3600 * 1000
_TIDY_EVERY = 500  # claims
_PATIENCE_SECONDS = 15.0  # longer than a sender's log-ins are tried; clients mostly wait 30
_LOOK_AGAIN_SECONDS = 0.05
_RUNNING_MS = 60_000  # a request that is still "running" after this had its process killed


class IdempotencyMiddleware:
    """Keeps the successful answers of keyed POST requests for 24 hours in `collection`.

    Who repeats a request that still runs waits for its answer, at most `_PATIENCE_SECONDS`. An
    answer with `Cache-Control: no-store` holds a secret: it is kept so that only the caller's own
    API key opens it, which we do not have at rest. None is given to a revoked key.
    """

    def __init__(self, app: ASGIApp, collection: Collection) -> None:
        self._app = app
        self._collection = collection
        self._claims = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers") or ())
        key = headers.get(b"idempotency-key", b"").decode("latin-1")
        if scope["type"] != "http" or scope["method"] != "POST" or not key:
            return await self._app(scope, receive, send)
        if len(key) > _MAX_KEY:
            problem = Problem(422, "INVALID", f"Idempotency-Key is longer than {_MAX_KEY}")
            return await problem.response()(scope, receive, send)
        caller = headers.get(b"x-api-key", b"")
        identity = sha256(b"\x1f".join((caller, scope["path"].encode(), key.encode()))).hexdigest()
        try:
            body = await _read(receive)
            claim = _Claim(identity, _digest(scope, body), _ring_of(caller, key))
            stored = await self._claim(claim)
            if stored is not None and await _known(scope, caller.decode("latin-1")):
                return await _replay(stored, claim, send)
        except Problem as problem:
            return await problem.response()(scope, _empty, send)
        except (PyMongoError, Unavailable) as error:  # we stand before the app's own handlers
            return await unavailable(error).response()(scope, _empty, send)
        if stored is not None:  # for a key that is no longer known: the app says so
            return await self._app(scope, _replaying(body), send)
        return await self._run(claim, body, scope, send)

    async def _run(self, claim: "_Claim", body: bytes, scope: Scope, send: Send) -> None:
        answer = _Recorder(send)
        try:
            await self._app(scope, _replaying(body), answer)
        finally:
            try:
                await self._finish(claim, answer)
            except PyMongoError as error:  # the answer is out; the claim ends by its age
                log.warning("the answer to an Idempotency-Key was not kept: %s", error)

    async def _claim(self, claim: "_Claim") -> dict[str, Any] | None:
        """None if the request is ours to run, else the stored answer. Raises Problem (409)."""
        self._claims += 1
        if self._claims % _TIDY_EVERY == 1:
            await self._tidy()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            claim.at = now_ms()
            with contextlib.suppress(DuplicateKeyError):
                await self._collection.insert_one(claim.document())
                return None
            known: dict[str, Any] | None = await self._collection.find_one({"_id": claim.identity})
            if known is None:
                continue
            age = claim.at - known["at"]
            if age > (_RUNNING_MS if known["state"] == "running" else _KEPT_MS):
                await self._collection.delete_one({"_id": claim.identity, "at": known["at"]})
                continue
            if known["digest"] != claim.digest:
                raise Problem(409, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key had another body")
            if known["state"] != "running":
                return known
            if time.monotonic() >= deadline:
                raise Problem(409, "IN_PROGRESS", "the first request with this key still runs")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _finish(self, claim: "_Claim", answer: "_Recorder") -> None:
        ours = {"_id": claim.identity, "at": claim.at}  # a later claim is another request's
        secret = (b"cache-control", b"no-store") in answer.headers
        if not 200 <= answer.status < 300 or (secret and claim.ring is None):
            await self._collection.delete_one(ours)  # nothing was created: the next try runs again
            return
        body = answer.body.decode()
        update = {
            "state": "done",
            "status": answer.status,
            "headers": json.dumps([[k.decode(), v.decode()] for k, v in answer.headers]),
            **({"sealed": claim.seal(body)} if secret else {"body": body}),
        }
        await self._collection.update_one(ours, {"$set": update})

    async def _tidy(self) -> None:
        """Remove what is too old to be of use."""
        await ensure_indexes(self._collection, "at")
        await self._collection.delete_many({"at": {"$lt": now_ms() - _KEPT_MS}})


@dataclass(slots=True)
class _Claim:
    identity: str
    digest: str  # of what was asked
    ring: KeyRing | None = field(repr=False)  # of the caller; None where there is no API key
    at: int = 0  # when it was made, in epoch ms: tells it from a later one of the same identity

    def document(self) -> dict[str, Any]:
        return {"_id": self.identity, "digest": self.digest, "at": self.at, "state": "running"}

    def seal(self, body: str) -> str:
        if self.ring is None:
            raise ValueError("nobody's answer cannot be sealed")
        return self.ring.seal(body, service="idempotency", record=self.identity, name="body")

    def body_of(self, stored: dict[str, Any]) -> str:
        sealed = stored.get("sealed")
        if sealed is None or self.ring is None:
            return str(stored["body"])
        return self.ring.open(sealed, service="idempotency", record=self.identity, name="body")


def _ring_of(caller: bytes, key: str) -> KeyRing | None:
    """Made of what the caller sends and only its hash is stored of."""
    if not caller:
        return None
    material = b"\x1f".join((b"postfleet idempotency", caller, key.encode()))
    return KeyRing({"caller": sha256(material).digest()})


def _digest(scope: Scope, body: bytes) -> str:
    return sha256(scope.get("query_string", b"") + b"\x1f" + body).hexdigest()


async def _known(scope: Scope, key: str) -> bool:
    """Whether the caller's key still exists; public paths have none."""
    return not key or await scope["app"].state.authenticator.check(key) is not None


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
            raise _too_large()
        if not message.get("more_body"):
            return body


def _too_large() -> Problem:
    """Such a body is a stream, and nobody keeps it whole to compare it with its repetition."""
    most = f"{_MAX_BODY // 1024 // 1024} MiB"
    remedy = "leave the key out: repeating an import adds nobody twice"
    message = f"it holds for a body of at most {most}; {remedy}"
    error = FieldError("Idempotency-Key", "TOO_LARGE", message)
    return Problem(413, "TOO_LARGE", f"Idempotency-Key: {message}", [error])


def _replaying(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _empty() -> Message:
    return {"type": "http.disconnect"}


async def _replay(stored: dict[str, Any], claim: _Claim, send: Send) -> None:
    headers = [(k.encode(), v.encode()) for k, v in json.loads(stored["headers"])]
    headers.append((b"idempotent-replayed", b"true"))
    await send({"type": "http.response.start", "status": stored["status"], "headers": headers})
    await send({"type": "http.response.body", "body": claim.body_of(stored).encode()})
