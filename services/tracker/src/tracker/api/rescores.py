"""`/rescores`: judge kept hits again, by the rules of this version."""

from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict
from postfleet.instants import now_ms, to_ms
from postfleet.problems import invalid, not_found
from tracker.store.rescores import Order, Rescores, shown


class NewRescore(Strict):
    """Deliveries with a hit in this time; all that are kept if it is open. Times are RFC 3339."""

    since: AwareDatetime | None = Field(None, strict=False)
    until: AwareDatetime | None = Field(None, strict=False)
    campaign_id: str = Field("", max_length=200)
    dry_run: bool = False


def build_router(orders: Rescores) -> APIRouter:
    router = APIRouter(prefix=f"{API}/rescores", tags=["rescores"])

    @router.post("", status_code=202, dependencies=[require(Scope.ADMIN)])
    async def order(wanted: NewRescore) -> dict[str, Any]:
        """Judge kept hits again; verdicts, figures and `verdict.changed` follow. Safe to repeat."""
        now = now_ms()
        since = to_ms(wanted.since) if wanted.since else 0
        until = to_ms(wanted.until) if wanted.until else now + 1
        if until <= since:
            raise invalid("until", "NOT_AFTER_SINCE", "until must be after since")
        new = Order(uuid4().hex, since, until, wanted.campaign_id, dry_run=wanted.dry_run)
        await orders.add(new, now)
        return await one(new.id)

    @router.get("/{order_id}", dependencies=[require(Scope.READ)])
    async def one(order_id: str) -> dict[str, Any]:
        """How far it is: `opened` and `clicked` are what the figures change by."""
        found = await orders.get(order_id)
        if found is None:
            raise not_found("rescore", order_id)
        return shown(found)

    return router
