"""Every stored secret under the newest master key, while everything goes on."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, decode_cursor, encode_cursor
from postfleet.outages import Unavailable
from postfleet.secrets import CannotOpen
from sender_registry.request_store import RequestStore
from sender_registry.store import SenderStore
from sender_registry.vault import Vault

_ATTEMPTS = 50


class Rotate(Strict):
    """`POST /sender-accounts/rotate-keys`: a page of senders."""

    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 200


@dataclass
class Rotated:
    """`unreadable` names senders whose secrets open with none of the keys."""

    rewrapped: int
    unchanged: int
    unreadable: list[str]


async def rotate(store: SenderStore, vault: Vault, sender_id: str) -> bool:
    """Rewrap the secrets of one sender; False if there was nothing to do. Raises CannotOpen."""
    for _ in range(_ATTEMPTS):
        found = await store.with_secrets(sender_id)
        if found is None:
            return False
        sender, sealed = found
        newest = vault.rewrapped(sender_id, sealed)
        if newest == sealed:
            return False
        if await store.replace_secrets(sender_id, sender.revision, newest):
            return True
    raise Unavailable(f"sender {sender_id} changes too fast")


def build_rotation_router(store: SenderStore, requests: RequestStore, vault: Vault) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/sender-accounts", tags=["senders"], dependencies=[require(Scope.ADMIN)]
    )

    @router.post("/rotate-keys")
    async def rotate_page(form: Rotate) -> dict[str, Any]:
        """Rewrap a page; repeat with `next_cursor`. When it is null the old key may be removed."""
        if form.cursor is None:
            await requests.seal_again()
        last = decode_cursor(form.cursor) if form.cursor else ""
        senders = await store.after(last, form.limit + 1)
        page = senders[: form.limit]
        done = Rotated(0, 0, [])
        for sender in page:
            try:
                if await rotate(store, vault, sender.id):
                    done.rewrapped += 1
                else:
                    done.unchanged += 1
            except CannotOpen:
                done.unreadable.append(sender.id)
        more = len(senders) > form.limit
        return {
            "key_id": vault.ring.newest,
            "rewrapped": done.rewrapped,
            "unchanged": done.unchanged,
            "unreadable": done.unreadable,
            "next_cursor": encode_cursor(page[-1].id) if more else None,
        }

    return router
