"""Campaigns on the dashboard: the list, one campaign, its mails, and what one may do to it."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from tracker.api.blocks import Block, Button, Facts, Field, Link, Page, State, Table, Text
from tracker.api.blocks import Form as FormBlock
from tracker.api.campaign_blocks import (
    campaign_row,
    import_table,
    lead_facts,
    plan_blocks,
    steps_table,
)
from tracker.api.console import ROWS, Console, next_address, segment
from tracker.api.decision_blocks import lead_decision_blocks
from tracker.figures import Figures
from tracker.gateway import Asking, NotAnswered

_MENU = Link("Campaigns", "/dashboard/campaigns")
_COLUMNS = ("Campaign", "State", "Sent", "Opened", "Clicked", "Replied", "Bounced", "")
_DONE = {
    "start": "The campaign runs.",
    "pause": "The campaign is paused. What is in a server's hands already is finished.",
    "resume": "The campaign goes on.",
}
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
    async def mail(
        request: Request,
        campaign_id: str,
        step: Annotated[int, Query(ge=0, le=100)] = 0,
        variant: Annotated[str, Query(max_length=40)] = "",
        lead: Annotated[str, Query(max_length=254)] = "",
    ) -> Response:
        async def make(asking: Asking) -> Page:
            wanted = {"step": step, "variant": variant, "lead": lead}
            return await _mail(asking, campaign_id, {k: v for k, v in wanted.items() if v != ""})

        return await console.show(request, make)

    @router.post("/{campaign_id}/test-send")
    async def test_send(
        request: Request,
        campaign_id: str,
        to: Annotated[str, Form(max_length=254)],
        step: Annotated[int, Form(ge=0, le=100)] = 0,
        variant: Annotated[str, Form(max_length=40)] = "",
        lead: Annotated[str, Form(max_length=254)] = "",
    ) -> Response:
        async def do(asking: Asking) -> str:
            optional = {"variant": variant, "lead": lead}
            body = {"to": to, "step": step} | {k: v for k, v in optional.items() if v}
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
            return Page(title, intro, lead_decision_blocks(found), under=_MENU, buttons=[under])

        return await console.show(request, make)

    return router


async def _campaign(asking: Asking, figures: Figures, campaign_id: str) -> Page:
    path = f"/campaigns/{segment(campaign_id)}"
    try:
        found = await asking.get(path)
    except NotAnswered as error:
        return Page("Campaign", campaign_id, problem=str(error), under=_MENU)
    stats, plan, imports, told = await asyncio.gather(
        _or_problem(asking, f"{path}/stats"),
        _or_problem(asking, f"{path}/plan"),
        asking.page(f"{path}/imports", limit=10),
        figures.campaigns([{"_id": found["id"], "name": found["name"], "status": found["status"]}]),
    )
    blocks: list[Block] = [
        Facts(
            "At a glance",
            [
                ("State", State(found["status"])),
                ("Sent by", ", ".join(found["senders"])),
                *((name.capitalize(), f"{told[0][name]:,}") for name in _SHOWN),
            ],
        ),
        steps_table(found, stats),
        *plan_blocks(plan),
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


async def _or_problem(asking: Asking, path: str, **params: Any) -> dict[str, Any]:
    """A part of a page that may be missing: the rest is still worth showing."""
    try:
        found: dict[str, Any] = await asking.get(path, **params)
    except NotAnswered as error:
        return {"problem": str(error)}
    return found


async def _mail(asking: Asking, campaign_id: str, wanted: dict[str, Any]) -> Page:
    path, here = f"/campaigns/{segment(campaign_id)}", f"{_MENU.to}/{segment(campaign_id)}"
    campaign = await _or_problem(asking, path)
    mail = await _or_problem(asking, f"{path}/preview", **wanted)
    blocks: list[Block] = []
    if "problem" not in mail:
        blocks.append(Facts("Header fields", list(mail["headers"].items())))
        blocks += [Text("Text", mail["text"])] if mail["text"] else []
        blocks += [Text("HTML", mail["html"], html=True)] if mail["html"] else []
    steps = campaign.get("steps", [])
    which = [
        Field("step", "Step (the first is 0)", "number", str(wanted.get("step", 0))),
        Field("variant", "Variant", value=str(wanted.get("variant", "")), hint=_names(steps)),
        Field("lead", "As this lead would get it", "email", str(wanted.get("lead", ""))),
    ]
    to = Field("to", "Send it to", "email", required=True)
    return Page(
        f"Mails of {campaign.get('name', campaign_id)}",
        "As one lead would get them; the links of a preview lead nowhere.",
        [
            FormBlock("Which mail", f"{here}/mail", which, "Show", method="get"),
            *blocks,
            FormBlock("Send a test", f"{here}/test-send", [to, *which], "Send"),
        ],
        problem=str(mail.get("problem", "")),
        under=_MENU,
        buttons=[Link("Back to the campaign", here)],
    )


def _names(steps: list[dict[str, Any]]) -> str:
    """The variants there are, as a hint."""
    names = sorted({variant["name"] for step in steps for variant in step.get("variants", [])})
    return f"Empty: the one this lead gets. There are {', '.join(names)}." if names else ""
