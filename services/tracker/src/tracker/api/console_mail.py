"""Mail on the dashboard: deliveries with their reasons, replies, bounces, and what happens now."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tracker.api.blocks import Block, Facts, Field, Form, Link, Noted, Page, State, Table
from tracker.api.cells import delivery_link, delivery_row, detail, moment, shown_time
from tracker.api.console import ROWS, Console, next_address, segment
from tracker.api.decision_blocks import delivery_blocks, senders_of
from tracker.api.sender_names import sender_names
from tracker.figures import Figures
from tracker.gateway import Asking, NotAnswered
from tracker.store.deliveries import DeliveryStore
from tracker.store.timelines import TimelineStore

_FEED = 60
_DELIVERIES = Link("Deliveries", "/dashboard/deliveries")


def build_router(
    console: Console, figures: Figures, timelines: TimelineStore, deliveries: DeliveryStore
) -> APIRouter:
    router = APIRouter(prefix="/dashboard", include_in_schema=False)

    @router.get("/deliveries")
    async def all_deliveries(
        request: Request,
        delivery: Annotated[str, Query(max_length=64)] = "",
        recipient: Annotated[str, Query(max_length=320)] = "",
        cursor: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        async def make(asking: Asking) -> Page:
            if delivery:
                return await _one(asking, delivery)
            if recipient:
                return await _of_recipient(request, asking, recipient, cursor)
            columns = ("Time", "Recipient", "Sender and subject", "Answer", "")
            rows = [delivery_row(row) for row in await deliveries.latest(ROWS)]
            empty = "No mail was accepted yet. It shows up here as soon as a server answers 250."
            return Page(
                "Deliveries",
                "The last accepted mails; open one to see why it went when it went.",
                [_search(""), Table("Accepted last", columns, rows, empty)],
            )

        return await console.show(request, make)

    @router.get("/replies")
    async def replies(request: Request) -> Response:
        async def make(_: Asking) -> Page:
            rows = [
                [
                    shown_time(e),
                    e["address"],
                    str(e["details"].get("text", ""))[:300],
                    delivery_link(e),
                ]
                for e in await timelines.latest(ROWS, "reply.detected")
            ]
            empty = "Nobody replied yet. Automatic replies are not shown here."
            table = Table("Replies", ("Time", "From", "Text", ""), rows, empty)
            return Page("Replies", "By people, newest first.", [table])

        return await console.show(request, make)

    @router.get("/bounces")
    async def bounces(request: Request) -> Response:
        async def make(_: Asking) -> Page:
            rows = [
                [row["category"], f"{row['bounced_hard']:,}", f"{row['bounced_soft']:,}"]
                for row in await figures.bounces()
            ]
            columns, empty = ("Category", "Hard", "Soft"), "No mail bounced."
            table = Table("By category", columns, rows, empty, numbers=frozenset({1, 2}))
            last = await timelines.latest(ROWS, "bounce.hard")
            told = [
                [shown_time(e), e["address"], detail(e["details"]), delivery_link(e)] for e in last
            ]
            hard = Table("Hard bounces, newest first", ("Time", "Address", "What", ""), told, empty)
            intro = "Hard ones end the address; soft ones are about this one mail."
            return Page("Bounces by category", intro, [table, hard])

        return await console.show(request, make)

    @router.get("/events")
    async def events(request: Request) -> Response:
        async def make(_: Asking) -> Page:
            columns = ("Time", "Event", "Recipient", "Detail")
            table = Table("What happened", columns, await feed(), id="feed")
            intro = "What happened to people's mail, newest first; fresh every two seconds."
            return Page("Live events", intro, [table])

        return await console.show(request, make)

    @router.get("/events.json")
    async def events_data(request: Request) -> Response:
        return await console.json(request, feed)

    async def feed() -> list[list[str]]:
        both = await asyncio.gather(timelines.latest(_FEED), deliveries.latest(_FEED))
        entries = sorted((e for part in both for e in part), key=lambda e: -int(e["at_ms"]))
        return [
            [shown_time(e), e["event"], e["address"], detail(e["details"])] for e in entries[:_FEED]
        ]

    return router


def _search(recipient: str, problem: str = "") -> Form:
    ask = Field("recipient", "Recipient", "email", recipient, wrong=problem, required=True)
    return Form("Find a person's mails", _DELIVERIES.to, [ask], "Find", method="get")


async def _one(asking: Asking, delivery: str) -> Page:
    title, intro = f"Delivery {delivery}", "What became of it, and why it went when it went."
    path = f"/deliveries/{segment(delivery)}"
    try:
        found, decisions = await asyncio.gather(asking.get(path), asking.get(f"{path}/decisions"))
    except NotAnswered as error:
        return Page(title, intro, [_search("")], str(error), under=_DELIVERIES)
    names = await sender_names(asking, senders_of(found, *decisions.get("plans", [])))
    return Page(title, intro, delivery_blocks(found, decisions, names), under=_DELIVERIES)


async def _of_recipient(request: Request, asking: Asking, recipient: str, cursor: str) -> Page:
    title, intro = "Deliveries", "All mail to one person, newest first."
    try:
        after = {"cursor": cursor} if cursor else {}
        found = await asking.get("/deliveries", recipient=recipient, limit=ROWS, **after)
    except NotAnswered as error:
        return Page(title, intro, [_search(recipient, str(error))])
    columns = ("Changed", "State", "Sender and subject", "Answer", "")
    rows = [_row(one) for one in found["items"]]
    empty = f"Nothing was sent to {recipient}."
    blocks: list[Block] = [_search(recipient), Table(f"To {recipient}", columns, rows, empty)]
    suppressed = found.get("suppressed")
    told = Noted("Suppressed", str(suppressed)) if suppressed else "Not suppressed"
    leads = [_lead_row(one) for one in found.get("leads") or []]
    where = Table("In campaigns", ("Campaign", "State", "Next step", "Due"), leads, "In none.")
    following = next_address(request, found.get("next_cursor") or "")
    blocks += [where, Facts("Person", [(recipient, told)])]
    return Page(title, intro, blocks, following=following)


def _row(one: dict[str, Any]) -> list[Any]:
    answer = f"{one.get('reply_code') or ''} {one.get('reply_text') or ''}".strip()
    return [
        moment(one.get("updated_at") or one.get("next_attempt_at")),
        State(one["state"]),
        Noted(one.get("author") or one.get("sender_id") or "", one.get("mail_subject") or ""),
        Noted(answer, one.get("reason") or ""),
        Link("Why", f"{_DELIVERIES.to}?delivery={segment(one['id'])}"),
    ]


def _lead_row(one: dict[str, Any]) -> list[Any]:
    step = one.get("next_step")
    name = one.get("campaign") or one["campaign_id"]
    return [
        Link(name, f"/dashboard/campaigns/{segment(one['campaign_id'])}"),
        State(one["state"]),
        "" if step is None else str(step + 1),
        moment(one.get("due_at")),
    ]
