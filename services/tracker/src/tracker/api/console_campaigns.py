"""Campaigns on the dashboard: the list, one campaign, its mails, and what one may do to it."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from tracker.api.blocks import Block, Button, Facts, Field, Link, Page, State, Table
from tracker.api.blocks import Form as FormBlock
from tracker.api.campaign_blocks import (
    campaign_row,
    import_table,
    lead_facts,
    plan_blocks,
    steps_table,
)
from tracker.api.console import ROWS, Console, next_address, segment
from tracker.api.decision_blocks import lead_decision_blocks, senders_of
from tracker.api.mail_preview import mail_page, or_problem, wanted_mail
from tracker.api.sender_names import sender_names
from tracker.figures import Figures
from tracker.gateway import Asking, NotAnswered

_MENU = Link("Campaigns", "/dashboard/campaigns")
_COLUMNS = ("Campaign", "State", "Sent", "Opened", "Clicked", "Replied", "Bounced", "")
_DONE = {
    "start": "The campaign runs.",
    "pause": "The campaign is paused. What is in a server's hands already is finished.",
    "resume": "The campaign goes on.",
}
_MAIL = r"^[0-9]{1,2}:[A-Za-z0-9_-]{0,40}$"  # step and variant
Action = Literal["start", "pause", "resume"]


def build_router(console: Console, figures: Figures) -> APIRouter:
    router = APIRouter(prefix="/dashboard/campaigns", include_in_schema=False)

    @router.get("")
    async def campaigns(
        request: Request, cursor: Annotated[str, Query(max_length=500)] = ""
    ) -> Response:
        async def make(asking: Asking) -> Page:
            part = await asking.page("/campaigns", limit=ROWS, cursor=cursor)
            told = await figures.campaigns(
                [{"_id": c["id"], "name": c["name"], "status": c["status"]} for c in part.items]
            )
            table = Table(
                "Campaigns",
                _COLUMNS,
                [campaign_row(row) for row in told],
                empty="No campaign yet. Write one, give it people to write to, and start it.",
                numbers=frozenset(range(2, 7)),
            )
            return Page(
                "Campaigns",
                "Pause stops planning; what is in a server's hands already is finished.",
                [table],
                problem=part.problem,
                buttons=[Link("New campaign", "/dashboard/campaigns/new")],
                following=next_address(request, part.next_cursor),
            )

        return await console.show(request, make)

    @router.get("/{campaign_id}")
    async def campaign(request: Request, campaign_id: str) -> Response:
        async def make(asking: Asking) -> Page:
            return await _campaign(asking, figures, campaign_id)

        return await console.show(request, make)

    @router.post("/{campaign_id}")
    async def act(
        request: Request,
        campaign_id: str,
        action: Annotated[Action, Form()],
        back: Annotated[Literal["list", "campaign"], Form()] = "list",
    ) -> Response:
        async def do(asking: Asking) -> str:
            await asking.post(f"/campaigns/{segment(campaign_id)}/{action}")
            return _DONE[action]

        to = _MENU.to if back == "list" else f"{_MENU.to}/{segment(campaign_id)}"
        return await console.act(request, do, to)

    @router.get("/{campaign_id}/mail")
    async def one_mail(
        request: Request,
        campaign_id: str,
        mail: Annotated[str, Query(pattern=_MAIL)] = "0:",
        lead: Annotated[str, Query(max_length=254)] = "",
    ) -> Response:
        async def make(asking: Asking) -> Page:
            return await mail_page(asking, campaign_id, mail, lead)

        return await console.show(request, make)

    @router.post("/{campaign_id}/test-send")
    async def test_send(
        request: Request,
        campaign_id: str,
        to: Annotated[str, Form(max_length=254)],
        mail: Annotated[str, Form(pattern=_MAIL)] = "0:",
        lead: Annotated[str, Form(max_length=254)] = "",
    ) -> Response:
        async def do(asking: Asking) -> str:
            body = {"to": to, **wanted_mail(mail, lead)}
            sent = await asking.post(f"/campaigns/{segment(campaign_id)}/test-send", body)
            return f"“{sent['subject']}” is on its way to {sent['recipient']}."

        address = f"{_MENU.to}/{segment(campaign_id)}/mail"
        return await console.act(request, do, address)

    @router.get("/{campaign_id}/lead")
    async def lead(
        request: Request, campaign_id: str, lead: Annotated[str, Query(max_length=254)] = ""
    ) -> Response:
        async def make(asking: Asking) -> Page:
            under = Link("Campaign", f"{_MENU.to}/{segment(campaign_id)}")
            title, intro = f"Why {lead}", "What this person's next mail waits for."
            path = f"/campaigns/{segment(campaign_id)}/leads/{segment(lead)}/decisions"
            try:
                found = await asking.get(path)
            except NotAnswered as error:
                return Page(title, intro, [_ask_lead(campaign_id)], str(error), buttons=[under])
            names = await sender_names(asking, senders_of(found))
            blocks = lead_decision_blocks(found, names)
            return Page(title, intro, blocks, under=_MENU, buttons=[under])

        return await console.show(request, make)

    return router


async def _campaign(asking: Asking, figures: Figures, campaign_id: str) -> Page:
    path = f"/campaigns/{segment(campaign_id)}"
    try:
        found = await asking.get(path)
    except NotAnswered as error:
        return Page("Campaign", campaign_id, problem=str(error), under=_MENU)
    stats, plan, imports, told = await asyncio.gather(
        or_problem(asking, f"{path}/stats"),
        or_problem(asking, f"{path}/plan"),
        asking.page(f"{path}/imports", limit=10),
        figures.campaigns([{"_id": found["id"], "name": found["name"], "status": found["status"]}]),
    )
    names = {one["sender_id"]: one["email_address"] for one in plan.get("senders", [])}
    left_out = [one["sender_id"] for one in plan.get("excluded", [])]
    names |= await sender_names(asking, left_out)
    blocks: list[Block] = [
        Facts(
            "At a glance",
            [
                ("State", State(found["status"])),
                ("Sent by", ", ".join(names.get(one, one) for one in found["senders"])),
                *((name.replace("_", " ").capitalize(), f"{told[0][name]:,}") for name in _SHOWN),
            ],
        ),
        steps_table(found, stats),
        *plan_blocks(plan, names),
        lead_facts(stats),
        import_table(imports.items),
        _ask_lead(campaign_id),
    ]
    mail = Link("See and test its mails", f"{_MENU.to}/{segment(campaign_id)}/mail")
    problem = " ".join(str(one["problem"]) for one in (stats, plan) if "problem" in one)
    return Page(
        found["name"],
        "Figures count people only.",
        blocks,
        problem=problem,
        buttons=[*_actions(campaign_id, found["status"]), mail],
        under=_MENU,
    )


_SHOWN = ("sent", "opened", "clicked", "replied", "bounced_hard", "unsubscribed")


def _actions(campaign_id: str, status: str) -> list[Button]:
    to = f"{_MENU.to}/{segment(campaign_id)}"
    possible = {"draft": "start", "running": "pause", "paused": "resume"}.get(status)
    if possible is None:
        return []
    sure = "Its mails begin to go out at the next open hour." if possible == "start" else ""
    fields = (("action", possible), ("back", "campaign"))
    return [Button(possible.capitalize(), to, fields, sure=sure, main=possible != "pause")]


def _ask_lead(campaign_id: str) -> FormBlock:
    return FormBlock(
        "Why has somebody no mail yet?",
        f"{_MENU.to}/{segment(campaign_id)}/lead",
        [Field("lead", "Address", "email", required=True)],
        "Tell me why",
        method="get",
    )
