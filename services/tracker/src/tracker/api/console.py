"""The dashboard's pages beside the overview: tables, each from one question to a service or store.

What the tracker does not own it asks over HTTP with the user's own key (`gateway.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment

from postfleet.problems import Problem
from tracker.api.cells import (
    campaign_row,
    check_rows,
    delivery_link,
    delivery_row,
    detail,
    domain_row,
    flat,
    sender_row,
    shown_time,
)
from tracker.api.dashboard import HEADERS, from_our_page
from tracker.figures import Figures
from tracker.gateway import Gateway, NotAnswered
from tracker.sessions import COOKIE, Sessions
from tracker.store.deliveries import DeliveryStore
from tracker.store.timelines import TimelineStore

_ROWS = 100
_FEED = 60


@dataclass(frozen=True, slots=True)
class Table:
    """A cell is a text, or (text, note), or {"state": …}, {"link": …}, {"actions": …}."""

    title: str
    intro: str
    columns: tuple[str, ...]
    rows: list[list[Any]] = field(default_factory=list)
    problem: str = ""
    empty: str = "Nothing yet."


def build_router(
    sessions: Sessions,
    gateway: Gateway,
    figures: Figures,
    timelines: TimelineStore,
    deliveries: DeliveryStore,
    pages: Environment,
    public_url: str,
) -> APIRouter:
    router = APIRouter(prefix="/dashboard", include_in_schema=False)

    async def key_of(request: Request) -> str | None:
        return await sessions.key(request.cookies.get(COOKIE, ""))

    async def shown(request: Request, make: Callable[[str], Awaitable[Table]]) -> Response:
        key = await key_of(request)
        if key is None:
            return RedirectResponse("/login", 303, headers=HEADERS)
        table = await make(key)
        html = pages.get_template("table.html").render(table=table, path=request.url.path)
        return HTMLResponse(html, headers=HEADERS)

    @router.get("/campaigns")
    async def campaigns(request: Request, problem: str = "") -> Response:
        async def make(key: str) -> Table:
            found, why = await _items(gateway, "/campaigns", key)
            told = await figures.campaigns(
                [{"_id": c["id"], "name": c["name"], "status": c["status"]} for c in found]
            )
            rows = [campaign_row(row) for row in told]
            columns = ("Campaign", "State", "Sent", "Opened", "Clicked", "Replied", "Bounced", "")
            intro = "Pause stops planning; what is in a server's hands already is finished."
            return Table("Campaigns", intro, columns, rows, problem[:300] or why)

        return await shown(request, make)

    @router.post("/campaigns/{campaign_id}")
    async def act(
        request: Request, campaign_id: str, action: Annotated[Literal["pause", "resume"], Form()]
    ) -> Response:
        from_our_page(request, public_url)
        key = await key_of(request)
        if key is None:
            return RedirectResponse("/login", 303, headers=HEADERS)
        problem = ""
        try:
            await gateway.call("POST", f"/campaigns/{quote(campaign_id, safe='')}/{action}", key)
        except NotAnswered as error:
            problem = f"?problem={quote(str(error))}"
        return RedirectResponse(f"/dashboard/campaigns{problem}", 303, headers=HEADERS)

    @router.get("/senders")
    async def senders(request: Request) -> Response:
        async def make(key: str) -> Table:
            found, why = await _items(gateway, "/sender-accounts", key)
            columns = (
                "Sender",
                "State",
                "Health",
                "Sent today",
                "Limit today",
                "Bound by",
                "Rests until",
            )
            intro = "The limit that binds is the smallest of all that apply today."
            return Table("Senders", intro, columns, [sender_row(s) for s in found], why)

        return await shown(request, make)

    @router.get("/domains")
    async def domains(request: Request) -> Response:
        async def make(key: str) -> Table:
            found, why = await _items(gateway, "/domains", key)
            return Table(
                "Domains",
                "DNS checks are made when you open them; the slowest server decides how long it takes.",
                ("Domain", "State", ""),
                [domain_row(d) for d in found],
                why,
            )

        return await shown(request, make)

    @router.get("/domains/{name}")
    async def domain(request: Request, name: str) -> Response:
        async def make(key: str) -> Table:
            columns = ("Check", "State", "What was found, and what to do")
            intro = "As the DNS and the mail servers answer now."
            try:
                found = await gateway.call("GET", f"/domains/{quote(name, safe='')}/checks", key)
            except NotAnswered as error:
                return Table(f"Domain {name}", intro, columns, problem=str(error))
            return Table(f"Domain {name}", intro, columns, check_rows(found))

        return await shown(request, make)

    @router.get("/deliveries")
    async def one_delivery(
        request: Request, delivery: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        async def make(key: str) -> Table:
            columns = ("What", "Why")
            title = "Deliveries"
            if not delivery:
                recent = await deliveries.latest(_ROWS)
                rows = [delivery_row(row) for row in recent]
                intro = "The last accepted mails; open one to see why it went when it went."
                return Table(title, intro, ("Time", "Recipient", "Sender", "Answer", ""), rows)
            try:
                path = f"/deliveries/{quote(delivery, safe='')}/decisions"
                found = await gateway.call("GET", path, key)
            except NotAnswered as error:
                return Table(title, delivery, columns, problem=str(error))
            return Table(f"Delivery {delivery}", "Its decisions.", columns, list(flat(found)))

        return await shown(request, make)

    @router.get("/replies")
    async def replies(request: Request) -> Response:
        async def make(_: str) -> Table:
            found = await timelines.latest(_ROWS, "reply.detected")
            rows = [
                [shown_time(e), e["address"], e["details"].get("text", "")[:300], delivery_link(e)]
                for e in found
            ]
            return Table("Replies", "By people, newest first.", ("Time", "From", "Text", ""), rows)

        return await shown(request, make)

    @router.get("/bounces")
    async def bounces(request: Request) -> Response:
        async def make(_: str) -> Table:
            rows = [
                [row["category"], f"{row['bounced_hard']:,}", f"{row['bounced_soft']:,}"]
                for row in await figures.bounces()
            ]
            intro = "Hard ones end the address; soft ones are about this one mail."
            return Table("Bounces by category", intro, ("Category", "Hard", "Soft"), rows)

        return await shown(request, make)

    @router.get("/events")
    async def events(request: Request) -> Response:
        async def make(_: str) -> Table:
            intro = "What happened to people's mail, newest first; fresh every two seconds."
            return Table(
                "Live events", intro, ("Time", "Event", "Recipient", "Detail"), await feed()
            )

        return await shown(request, make)

    @router.get("/events.json")
    async def events_data(request: Request) -> Response:
        if await key_of(request) is None:
            raise Problem(401, "UNAUTHORIZED", "log in first")
        return JSONResponse(await feed(), headers={"Cache-Control": "no-store"})

    async def feed() -> list[list[str]]:
        both = await asyncio.gather(timelines.latest(_FEED), deliveries.latest(_FEED))
        entries = sorted((e for part in both for e in part), key=lambda e: -int(e["at_ms"]))
        return [
            [shown_time(e), e["event"], e["address"], detail(e["details"])] for e in entries[:_FEED]
        ]

    return router


async def _items(gateway: Gateway, path: str, key: str) -> tuple[list[dict[str, Any]], str]:
    """The first page of a list, and why there is none."""
    try:
        found = await gateway.call("GET", path, key, limit=_ROWS)
    except NotAnswered as error:
        return [], str(error)
    return list(found["items"]), ""
