"""HTTP: the senders."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from postfleet.api_keys import ApiKey, Scope, require
from postfleet.http import API, decode_cursor, page
from sender_registry.accounts import Accounts
from sender_registry.domain.sender import Sender
from sender_registry.forms import NewSender, SenderFields, Suspend
from sender_registry.views import sender_view, validated_view

Limit = Annotated[int, Query(ge=1, le=500)]


def build_router(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])
    changes = accounts.changes
    admin, read = require(Scope.ADMIN), require(Scope.READ)

    def view(sender: Sender) -> dict[str, Any]:
        return sender_view(sender, changes.clock(), changes.rules)

    @router.post("", status_code=201, dependencies=[admin])
    async def register(form: NewSender) -> dict[str, Any]:
        """Test the log-ins, then store the sender; nothing is stored when SMTP fails."""
        sender, validation = await accounts.register(form)
        return validated_view(sender, validation, changes.clock(), changes.rules)

    @router.get("", dependencies=[read])
    async def list_senders(limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
        last = decode_cursor(cursor) if cursor else ""
        return page([view(s) for s in await changes.store.after(last, limit + 1)], limit)

    @router.get("/{sender_id}", dependencies=[read])
    async def show(sender_id: str) -> dict[str, Any]:
        return view(await accounts.get(sender_id))

    @router.patch("/{sender_id}", dependencies=[admin])
    async def update(sender_id: str, form: SenderFields) -> dict[str, Any]:
        """Change the fields that are given; new servers or passwords are tested first."""
        return view(await accounts.update(sender_id, form))

    @router.delete("/{sender_id}", status_code=204, dependencies=[admin])
    async def delete(sender_id: str, confirm: str = "") -> None:
        """Irreversible; `confirm` repeats the e-mail address."""
        await accounts.delete(sender_id, confirm)

    @router.post("/{sender_id}/validate", dependencies=[admin])
    async def validate(sender_id: str) -> dict[str, Any]:
        """Test the log-ins again; the status follows from the result."""
        sender, validation = await accounts.revalidate(sender_id)
        return validated_view(sender, validation, changes.clock(), changes.rules)

    @router.post("/{sender_id}/suspend")
    async def suspend(
        sender_id: str, form: Suspend | None = None, key: ApiKey = admin
    ) -> dict[str, Any]:
        """Nothing is sent through it until somebody resumes it."""
        by = f"key {key.id}"
        return view(await accounts.suspend(sender_id, by, form.reason if form else ""))

    @router.post("/{sender_id}/resume", dependencies=[admin])
    async def resume(sender_id: str) -> dict[str, Any]:
        """End a suspension. A health below 20 becomes 20: the way back to campaigns."""
        return view(await accounts.resume(sender_id))

    return router
