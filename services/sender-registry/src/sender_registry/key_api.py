"""HTTP: the API keys."""

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from postfleet.api_keys import Scope, hash_key, require
from postfleet.http import API, Limit, Strict, decode_cursor, page
from postfleet.instants import from_ms, iso, now_ms, to_ms
from postfleet.problems import invalid, not_found
from sender_registry.identity import new_id
from sender_registry.key_store import KeyStore, StoredKey


class NewKey(Strict):
    """`POST /api-keys`."""

    name: Annotated[str, Field(max_length=200)] = ""
    scopes: Annotated[list[Literal["read", "send", "admin"]], Field(min_length=1, max_length=3)]
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None


def build_key_router(keys: KeyStore) -> APIRouter:
    admin = require(Scope.ADMIN)
    router = APIRouter(prefix=f"{API}/api-keys", tags=["API keys"], dependencies=[admin])

    @router.post("", status_code=201)
    async def create(form: NewKey, response: Response) -> dict[str, Any]:
        """The key is in this answer and nowhere else."""
        expires_ms = to_ms(form.expires_at) if form.expires_at else 0
        if form.expires_at and expires_ms <= now_ms():
            raise invalid("expires_at", "IN_THE_PAST", "such a key would never work")
        scopes = tuple(sorted({Scope(scope) for scope in form.scopes}))
        secret = secrets.token_urlsafe(32)  # 256 bits: a plain hash is enough
        stored = StoredKey(new_id(), form.name, scopes, secret[-4:], now_ms(), expires_ms)
        key = f"pf_{stored.id[-8:]}_{secret}"
        await keys.insert(stored, hash_key(key))
        response.headers["Cache-Control"] = "no-store"
        return {**_view(stored), "key": key}

    @router.get("")
    async def list_keys(limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
        last = decode_cursor(cursor) if cursor else ""
        return page([_view(key) for key in await keys.after(last, limit + 1)], limit)

    @router.delete("/{key_id}", status_code=204)
    async def revoke(key_id: str) -> None:
        """It stops working within five seconds."""
        if not await keys.delete(key_id):
            raise not_found("API key", key_id)

    return router


def _view(key: StoredKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "hint": f"…{key.hint}",
        "created_at": iso(from_ms(key.created_ms)),
        "expires_at": iso(from_ms(key.expires_ms)) if key.expires_ms else None,
    }
