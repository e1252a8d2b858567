"""HTTP: sender requests in two phases."""

from typing import Any

from fastapi import APIRouter, Response

from postfleet.api_keys import ApiKey, Scope, require
from postfleet.http import API, Limit, decode_cursor, page
from postfleet.instants import from_ms, iso, to_ms
from sender_registry.domain.requests import SenderRequest
from sender_registry.relay import relay_view
from sender_registry.request_form import NewRequest
from sender_registry.requesting import Outcome, Requests
from sender_registry.views import sender_view

Json = dict[str, Any]


def build_request_router(requests: Requests) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-requests", tags=["sender requests"])
    admin, send, read = require(Scope.ADMIN), require(Scope.SEND), require(Scope.READ)
    changes = requests.accounts.changes

    def view(request: SenderRequest) -> Json:
        return request_view(request, to_ms(changes.clock()))

    def outcome_view(outcome: Outcome, response: Response) -> Json:
        """With the sender and its log-in, in this answer and nowhere else."""
        shown = view(outcome.request)
        sender = outcome.sender
        if sender is None or outcome.request.operation == "delete":
            return shown
        if outcome.relay_password:
            response.headers["Cache-Control"] = "no-store"
        relay = relay_view(sender, requests.accounts.rules.relay, outcome.relay_password)
        sender_shown = sender_view(sender, changes.clock(), changes.rules)
        return {**shown, "sender": sender_shown, "relay": relay}

    @router.post("", status_code=201)
    async def submit(form: NewRequest, response: Response, key: ApiKey = send) -> Json:
        """Validate a request, and execute it at once unless it is to be approved first.

        A key without the scope `admin` always waits for somebody who has it.
        """
        may = key.may(Scope.ADMIN)
        outcome = await requests.submit(form, f"key {key.id}", may_execute=may)
        return outcome_view(outcome, response)

    @router.get("", dependencies=[read])
    async def listed(limit: Limit = 50, cursor: str | None = None) -> Json:
        last = decode_cursor(cursor) if cursor else ""
        return page([view(r) for r in await requests.store.after(last, limit + 1)], limit)

    @router.get("/{request_id}", dependencies=[read])
    async def show(request_id: str) -> Json:
        return view(await requests.get(request_id))

    @router.post("/{request_id}/approve")
    async def approve(request_id: str, response: Response, key: ApiKey = admin) -> Json:
        """Execute what was validated and waits."""
        return outcome_view(await requests.approve(request_id, f"key {key.id}"), response)

    return router


def request_view(request: SenderRequest, now_ms: int) -> Json:
    steps = [
        {
            "phase": done.step.phase,
            "step": done.step.value,
            "ok": done.ok,
            "detail": done.detail or None,
            "at": iso(from_ms(done.at_ms)),
        }
        for done in request.trail
    ]
    return {
        "id": request.id,
        "operation": request.operation,
        "state": request.state.value,
        "sender_id": request.sender_id or None,
        "requested_by": request.requested_by,
        "approved_by": request.approved_by or None,
        "created_at": iso(from_ms(request.created_ms)),
        "due_at": iso(from_ms(request.due_ms)),
        "overdue": request.overdue(now_ms),
        "breached_at": iso(from_ms(request.breached_ms)) if request.breached_ms else None,
        "steps": steps,
    }
