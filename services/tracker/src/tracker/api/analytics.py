"""`/analytics/…`: figures for programs. Counts are of human verdicts; rates are fractions of `sent`."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from postfleet.addresses import InvalidAddress, canonical
from postfleet.api_keys import Scope, require
from postfleet.http import API, Limit, decode_cursor, encode_cursor, page
from postfleet.instants import now, rfc3339
from postfleet.problems import invalid, not_found
from tracker.domain.facts import METRICS
from tracker.domain.figures import Bucket
from tracker.domain.spreadsheet import to_csv
from tracker.figures import Figures
from tracker.store.campaigns import CampaignStore
from tracker.store.deliveries import DeliveryStore
from tracker.store.timelines import TimelineStore

_CSV_ROWS = 1000
_SCOPE_ROWS = 1000
_MAX_BUCKETS = 1000
_DEFAULT_SPAN = {"day": timedelta(days=29), "hour": timedelta(hours=47)}
_WIDTH = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


def build_router(
    figures: Figures, campaigns: CampaignStore, timelines: TimelineStore, deliveries: DeliveryStore
) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/analytics", tags=["analytics"], dependencies=[require(Scope.READ)]
    )

    @router.get("/overview")
    async def overview() -> dict[str, Any]:
        """All there is, from the beginning."""
        return await figures.overview()

    @router.get("/activity")
    async def activity(
        start: Annotated[str | None, Query(alias="from")] = None,
        end: Annotated[str | None, Query(alias="to")] = None,
        bucket: Bucket = "day",
    ) -> dict[str, Any]:
        """A row per UTC day or hour, both ends included; days as `2026-11-21` or RFC 3339 times."""
        last = _moment("to", end, last=True) if end else now()
        first = _moment("from", start) if start else last - _DEFAULT_SPAN[bucket]
        if first > last:
            raise invalid("from", "AFTER_TO", "must not be later than `to`")
        if (last - first) / _WIDTH[bucket] > _MAX_BUCKETS:
            raise invalid("from", "TOO_LONG", f"ask for {_MAX_BUCKETS} {bucket}s at most")
        rows = await figures.activity(first, last, bucket)
        return {
            "bucket": bucket,
            "from": rows[0]["bucket"],
            "to": rows[-1]["bucket"],
            "items": rows,
        }

    @router.get("/campaigns")
    async def all_campaigns(limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
        """Every campaign with its figures."""
        after = decode_cursor(cursor) if cursor else ""
        return page(await figures.campaigns(await campaigns.page(after, limit + 1)), limit)

    @router.get("/campaigns.csv")
    async def campaigns_csv() -> Response:
        """The figures of the first thousand campaigns, for a spreadsheet; no cell is a formula."""
        rows = await figures.campaigns(await campaigns.page("", _CSV_ROWS))
        columns = ("id", "name", "status", *METRICS)
        return Response(
            to_csv(columns, rows),
            media_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="campaigns.csv"'},
        )

    @router.get("/campaigns/{campaign_id}")
    async def campaign(campaign_id: str) -> dict[str, Any]:
        """One campaign: its figures, and those of its steps and senders."""
        found = await figures.campaign(campaign_id)
        if found is None:
            raise not_found("campaign", campaign_id)
        return found

    @router.get("/{scope}")
    async def breakdown(
        scope: Literal["senders", "domains", "receivers"],
        limit: Annotated[int, Query(ge=1, le=_SCOPE_ROWS)] = _SCOPE_ROWS,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Figures per sender, sending domain, or receiving provider, by name."""
        kind = scope.removesuffix("s")
        after = decode_cursor(cursor) if cursor else ""
        if after and not after.startswith(f"{kind}:"):
            raise invalid("cursor", "BAD_CURSOR", f"this one is not of {scope}")
        rows = await figures.of_scope(kind, limit + 1, after)
        last = encode_cursor(f"{kind}:{rows[limit - 1][kind]}") if len(rows) > limit else None
        return {"items": rows[:limit], "next_cursor": last}

    @router.get("/variants/{campaign_id}")
    async def variants(campaign_id: str) -> dict[str, Any]:
        """The variants of each step, side by side."""
        found = await figures.variants(campaign_id)
        if found is None:
            raise not_found("campaign", campaign_id)
        return {"campaign_id": campaign_id, "items": found}

    @router.get("/leads/{address}/timeline")
    async def timeline(
        address: str, limit: Limit = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """What happened to a lead, oldest first."""
        try:
            lead = canonical(address)
        except InvalidAddress as error:
            raise invalid("address", "INVALID_ADDRESS", str(error)) from error
        after = decode_cursor(cursor) if cursor else ""
        parts = await asyncio.gather(
            *(part.page(lead, after, limit + 1) for part in (timelines, deliveries))
        )
        found = sorted((e for part in parts for e in part), key=lambda e: str(e["order"]))[
            : limit + 1
        ]
        shown = found[:limit]
        following = encode_cursor(shown[-1]["order"]) if len(found) > limit else None
        return {
            "address": lead,
            "items": [_entry(document) for document in shown],
            "next_cursor": following,
        }

    return router


def _entry(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": document["_id"],
        "event": document["event"],
        "occurred_at": rfc3339(document["at_ms"]),
        **document["details"],
    }


def _moment(field: str, text: str, *, last: bool = False) -> datetime:
    """A day or a time; a day as the end of a span means all of it. Raises Problem (422)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(field, "INVALID_TIME", "use 2026-11-21 or 2026-11-21T08:00:00Z") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole_day = timedelta(days=1) - timedelta(milliseconds=1)
    return moment + whole_day if last and len(text) == len("2026-11-21") else moment
