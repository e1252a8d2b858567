"""Who may call the HTTP API: the `X-API-Key` header and its scopes."""

import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from postfleet.outages import Unavailable
from postfleet.problems import Problem
from postfleet.rpc import RequestRefused
from postfleet.topology import RPC_API_KEY

_CACHE_SECONDS = 4.0  # a revoked key stops working within five
_CACHE_SIZE = 1000


class Scope(StrEnum):
    """`admin` includes `send`, which includes `read`."""

    READ = "read"
    SEND = "send"
    ADMIN = "admin"


_INCLUDED = {
    Scope.READ: {Scope.READ},
    Scope.SEND: {Scope.READ, Scope.SEND},
    Scope.ADMIN: set(Scope),
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return any(scope in _INCLUDED[own] for own in self.scopes)


#: hash of a key (SHA-256, hexadecimal) -> the key, or None where there is no such key
Lookup = Callable[[str], Awaitable[ApiKey | None]]

BOOTSTRAP = ApiKey("bootstrap", frozenset({Scope.ADMIN}))


def hash_key(key: str) -> str:
    return sha256(key.encode()).hexdigest()


class Authenticator:
    """Knows the bootstrap key itself and asks the registry about others, at most every 4 s a key."""

    def __init__(self, bootstrap: str, lookup: Lookup) -> None:
        self._bootstrap = hash_key(bootstrap)
        self._lookup = lookup
        self._known: dict[str, tuple[float, ApiKey | None]] = {}

    async def check(self, key: str) -> ApiKey | None:
        return await self.check_hash(hash_key(key))

    async def check_hash(self, hashed: str) -> ApiKey | None:
        """The same for who kept only the key's hash."""
        if hmac.compare_digest(hashed, self._bootstrap):
            return BOOTSTRAP
        cached = self._known.get(hashed)
        if cached and cached[0] > time.monotonic():
            return cached[1]
        found = await self._lookup(hashed)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[hashed] = (time.monotonic() + _CACHE_SECONDS, found)
        return found


def registry_lookup(request: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]) -> Lookup:
    """A lookup that asks the sender registry over the bus (`Bus.request`)."""

    async def look_up(hashed: str) -> ApiKey | None:
        try:
            answer = await request(RPC_API_KEY, {"hash": hashed})
        except RequestRefused as refusal:
            raise Unavailable(f"the registry cannot tell now: {refusal}") from refusal
        if not answer.get("id"):
            return None
        known = set(Scope)  # a newer registry may know more
        return ApiKey(answer["id"], frozenset(Scope(s) for s in answer["scopes"] if s in known))

    return look_up


_header = APIKeyHeader(name="X-API-Key", auto_error=False)


def require(scope: Scope) -> Any:
    """A FastAPI dependency: the caller's key, which has `scope`. 401 or 403 otherwise."""

    async def check(request: Request, key: str | None = Depends(_header)) -> ApiKey:
        authenticator: Authenticator = request.app.state.authenticator
        found = await authenticator.check(key) if key else None
        if found is None:
            raise Problem(401, "UNAUTHORIZED", "X-API-Key is missing or not known")
        if not found.may(scope):
            raise Problem(403, "FORBIDDEN", f"this key lacks the scope {scope.value!r}")
        return found

    return Depends(check)
