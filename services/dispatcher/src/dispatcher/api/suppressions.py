"""Whom no campaign may mail."""

from typing import Any

from fastapi import APIRouter, Query, Response

from dispatcher.api.bodies import SuppressionBody
from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.identity import lead_id
from dispatcher.store.leads import Leads
from dispatcher.store.suppressions import Suppressions
from postfleet.addresses import InvalidAddress, canonical, check_domain
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement
from postfleet.events import RecipientSuppressed
from postfleet.http import API, decode_cursor, page
from postfleet.instants import from_ms, now
from postfleet.outbox import OutboxRelay
from postfleet.problems import Problem, invalid, not_found


def build_suppressions(suppressions: Suppressions, leads: Leads, relay: OutboxRelay) -> APIRouter:
    router = APIRouter(prefix=f"{API}/suppressions", tags=["suppressions"])

    @router.post("", status_code=201, dependencies=[require(Scope.SEND)])
    async def add(body: SuppressionBody) -> dict[str, Any]:
        """Suppress an address, or a whole domain (`@example.com`)."""
        entry = _entry(body.entry)
        event = RecipientSuppressed(occurred_at=now(), recipient=entry, reason=body.reason)
        if not await suppressions.add(entry, body.reason, "api", [Announcement(event)]):
            raise Problem(409, "EXISTS", f"{entry} is suppressed already")
        relay.wake()
        if not entry.startswith("@"):
            await leads.end_everywhere(lead_id(entry), LeadState.SUPPRESSED)
        return {"entry": entry, "reason": body.reason}

    @router.get("", dependencies=[require(Scope.READ)])
    async def list_all(
        limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        found = await suppressions.page(decode_cursor(cursor) if cursor else None, limit + 1)
        return page(
            [
                {
                    "id": one.entry,
                    "entry": one.entry,
                    "reason": one.reason,
                    "source": one.source,
                    "created_at": from_ms(one.created_at).isoformat(),
                }
                for one in found
            ],
            limit,
        )

    @router.delete("/{entry}", status_code=204, dependencies=[require(Scope.ADMIN)])
    async def remove(entry: str) -> Response:
        """Allow mail again. Leads that were ended stay ended."""
        if not await suppressions.remove(_entry(entry)):
            raise not_found("suppression", entry)
        return Response(status_code=204)

    return router


def _entry(text: str) -> str:
    try:
        if text.startswith("@"):
            return f"@{check_domain(text[1:]).lower()}"
        return canonical(text)
    except InvalidAddress as error:
        raise invalid("entry", "invalid_address", str(error)) from error
