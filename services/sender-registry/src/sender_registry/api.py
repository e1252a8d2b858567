"""HTTP: the senders."""

from typing import Any

from fastapi import APIRouter, Response

from postfleet.api_keys import ApiKey, Scope, require
from postfleet.http import API, Limit, as_json, decode_cursor, page
from sender_registry.accounts import Accounts
from sender_registry.domain.sender import Sender
from sender_registry.forms import NewSender, SenderFields, Suspend
from sender_registry.internal import InternalSenders
from sender_registry.relay import relay_view
from sender_registry.views import sender_view, validated_view


def build_router(accounts: Accounts, internal: InternalSenders) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])
    changes = accounts.changes
    admin, read = require(Scope.ADMIN), require(Scope.READ)

    def view(sender: Sender) -> dict[str, Any]:
        return sender_view(sender, changes.clock(), changes.rules)

    def with_relay(
        view: dict[str, Any], sender: Sender, password: str | None, to: Response
    ) -> dict[str, Any]:
        """With how mail is handed in. A password is in this answer and nowhere else."""
        if password:
            to.headers["Cache-Control"] = "no-store"
        relay = relay_view(sender, accounts.rules.relay, password)
        return {**view, "relay": relay} if relay else view

    @router.post("", status_code=201, dependencies=[admin])
    async def register(form: NewSender, response: Response) -> dict[str, Any]:
        """Test the log-ins, then store the sender; nothing is stored when SMTP fails.

        An internal one gets a mailbox on our own mail server first: `provisioning` tells how far.
        """
        if form.kind == "internal":
            return view(await internal.register(form))
        done = await accounts.register(form)
        shown = validated_view(done.sender, done.validation, changes.clock(), changes.rules)
        return with_relay(shown, done.sender, done.relay_password, response)

    @router.get("", dependencies=[read], response_model=dict[str, Any])
    async def list_senders(limit: Limit = 50, cursor: str | None = None) -> Response:
        last = decode_cursor(cursor) if cursor else ""
        found = await changes.store.after(last, limit + 1)
        now = changes.clock()
        return as_json(page([sender_view(s, now, changes.rules) for s in found], limit))

    @router.get("/{sender_id}", dependencies=[read])
    async def show(sender_id: str) -> dict[str, Any]:
        return view(await accounts.get(sender_id))

    @router.patch("/{sender_id}", dependencies=[admin])
    async def update(sender_id: str, form: SenderFields, response: Response) -> dict[str, Any]:
        """Change the fields that are given; new servers or passwords are tested first."""
        sender, password = await accounts.update(sender_id, form)
        return with_relay(view(sender), sender, password, response)

    @router.delete("/{sender_id}", status_code=204, dependencies=[admin])
    async def delete(sender_id: str, confirm: str = "") -> None:
        """Irreversible; `confirm` repeats the e-mail address."""
        await internal.gone(await accounts.delete(sender_id, confirm))

    @router.post("/{sender_id}/validate", dependencies=[admin])
    async def validate(sender_id: str) -> dict[str, Any]:
        """Test the log-ins again; the status follows from the result."""
        sender, validation = await accounts.revalidate(sender_id)
        return validated_view(sender, validation, changes.clock(), changes.rules)

    @router.post("/{sender_id}/rotate-password", dependencies=[admin])
    async def rotate(sender_id: str, response: Response) -> dict[str, Any]:
        """A new password for handing mail in over SMTP; the old one ends at once."""
        sender, password = await accounts.rotate_relay_password(sender_id)
        return with_relay(view(sender), sender, password, response)

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
