"""The fleet on the dashboard: senders, domains, pauses, and who is never written to."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tracker.api.blocks import Block, Button, Cell, Facts, Field, Form, Link, Page, State, Table
from tracker.api.cells import check_rows, domain_row, moment, sender_row, warmup
from tracker.api.console import ROWS, Console, next_address, segment
from tracker.figures import Figures
from tracker.gateway import Asking, NotAnswered

_SENDERS = Link("Senders", "/dashboard/senders")
_DOMAINS = Link("Domains", "/dashboard/domains")
_PAUSES = Link("Pauses", "/dashboard/pauses")
Cursor = Annotated[str, Query(max_length=500)]


def build_router(console: Console, figures: Figures) -> APIRouter:
    router = APIRouter(prefix="/dashboard", include_in_schema=False)

    @router.get("/senders")
    async def senders(request: Request, cursor: Cursor = "") -> Response:
        async def make(asking: Asking) -> Page:
            part = await asking.page("/sender-accounts", limit=ROWS, cursor=cursor)
            columns = (
                "Sender", "State", "Health", "Sent today", "Bound by", "Warm-up", "Rests until",
            )  # fmt: skip
            empty = "No sender yet. Register a mailbox with: postfleet senders add"
            rows = [sender_row(one) for one in part.items]
            table = Table("Senders", columns, rows, empty, numbers=frozenset({2}))
            return Page(
                "Senders",
                "The limit that binds is the smallest of all that apply today.",
                [table],
                part.problem,
                following=next_address(request, part.next_cursor),
            )

        return await console.show(request, make)

    @router.get("/senders/{sender_id}")
    async def sender(request: Request, sender_id: str) -> Response:
        async def make(asking: Asking) -> Page:
            try:
                found = await asking.get(f"/sender-accounts/{segment(sender_id)}")
            except NotAnswered as error:
                return Page("Sender", sender_id, problem=str(error), under=_SENDERS)
            blocks = _sender_blocks(found, await figures.of_sender(sender_id))
            return Page(found["email_address"], "One mailbox of the fleet.", blocks, under=_SENDERS)

        return await console.show(request, make)

    @router.get("/domains")
    async def domains(request: Request, cursor: Cursor = "") -> Response:
        async def make(asking: Asking) -> Page:
            part = await asking.page("/domains", limit=ROWS, cursor=cursor)
            rows = [domain_row(one) for one in part.items]
            empty = "No domain yet. Add one with: postfleet domains add"
            return Page(
                "Domains",
                "DNS checks are made when you open them; the slowest server decides how long it takes.",
                [Table("Domains", ("Domain", "State", ""), rows, empty)],
                part.problem,
                following=next_address(request, part.next_cursor),
            )

        return await console.show(request, make)

    @router.get("/domains/{name}")
    async def domain(request: Request, name: str) -> Response:
        async def make(asking: Asking) -> Page:
            title, intro = f"Domain {name}", "As the DNS and the mail servers answer now."
            try:
                found = await asking.get(f"/domains/{segment(name)}/checks")
            except NotAnswered as error:
                return Page(title, intro, problem=str(error), under=_DOMAINS)
            columns = ("Check", "State", "What was found, and what to do")
            return Page(title, intro, [Table("Checks", columns, check_rows(found))], under=_DOMAINS)

        return await console.show(request, make)

    @router.get("/pauses")
    async def pauses(request: Request, cursor: Cursor = "") -> Response:
        async def make(asking: Asking) -> Page:
            part = await asking.page("/pauses", limit=ROWS, cursor=cursor)
            columns = ("What", "State", "Why", "Senders", "Paused", "Resumed", "")
            empty = "Nothing is paused. What degrading senders share shows up here."
            rows = [_pause_row(one) for one in part.items]
            return Page(
                "Pauses",
                "What senders shared when they degraded together. Mend the cause, then resume.",
                [Table("Pauses", columns, rows, empty, numbers=frozenset({3}))],
                part.problem,
                following=next_address(request, part.next_cursor),
            )

        return await console.show(request, make)

    @router.post("/pauses/{pause_id}")
    async def resume(request: Request, pause_id: str) -> Response:
        async def do(asking: Asking) -> str:
            found = await asking.post(f"/pauses/{segment(pause_id)}/resume")
            return f"Mail by {found['kind']} {found['value']} goes on."

        return await console.act(request, do, _PAUSES.to)

    @router.get("/suppressions")
    async def suppressions(
        request: Request, q: Annotated[str, Query(max_length=254)] = "", cursor: Cursor = ""
    ) -> Response:
        async def make(asking: Asking) -> Page:
            part = await asking.page("/suppressions", limit=ROWS, q=q, cursor=cursor)
            columns = ("Who", "Kinds", "Reason", "By", "Since")
            empty = f"Nobody whose address begins with “{q}”." if q else "Nobody yet."
            ask = [Field("q", "Begins with", "search", q, hint="@example.com is a whole domain")]
            return Page(
                "Suppressions",
                "Addresses and domains that are never written to, by any campaign.",
                [
                    Form("Search", "/dashboard/suppressions", ask, "Search", method="get"),
                    Table("Suppressed", columns, [_suppressed(one) for one in part.items], empty),
                ],
                part.problem,
                following=next_address(request, part.next_cursor),
            )

        return await console.show(request, make)

    return router


def _sender_blocks(found: dict[str, Any], counted: dict[str, Any]) -> list[Block]:
    limits: list[tuple[str, Cell]] = [
        ("May send today", f"{found['effective_limit']:,}"),
        ("Bound by", str(found["binding_limit"]).replace("_", " ")),
        ("Sent today", f"{found['sent_today']:,}"),
        ("Sent this month", f"{found['sent_this_month']:,}"),
        ("Limit a day", f"{found['daily_limit'] or 'none'}"),
        ("Limit a month", f"{found['monthly_limit'] or 'none'}"),
    ]
    state: list[tuple[str, Cell]] = [("State", State(found["status"]))]
    told = {
        "Because": found.get("status_reason"),
        "Health": f"{found['health']} of 100",
        "Rests until": moment(found.get("cooldown_until")),
        "Suspended by": (found.get("suspended") or {}).get("by"),
        "Name": found.get("display_name"),
        "Tags": ", ".join(found.get("tags") or []),
    }
    state += [(name, str(value)) for name, value in told.items() if value]
    state += [("Warm-up", warmup(found))] if found.get("warmup") else []
    warnings = [[_warning(one)] for one in found.get("warnings") or []]
    figures = [(name.replace("_", " ").capitalize(), f"{n:,}") for name, n in counted.items() if n]
    blocks: list[Block] = [
        Facts("State", state),
        Facts("Limits", limits),
        Facts("Figures", figures or [("So far", "Nothing was counted yet.")]),
    ]
    return [*blocks, Table("Warnings", ("What to mend",), warnings)] if warnings else blocks


def _warning(one: Any) -> str:
    return str(one.get("message") or one.get("code") or one) if isinstance(one, dict) else str(one)


def _pause_row(one: dict[str, Any]) -> list[Cell]:
    resume = Button(
        "Resume",
        f"{_PAUSES.to}/{segment(one['id'])}",
        sure="Its mail goes again at once; trouble from now on pauses it once more.",
    )
    return [
        f"{one['kind']} {one['value']}",
        State(one["status"]),
        one["reason"],
        f"{len(one['senders']):,}",
        moment(one["paused_at"]),
        moment(one["resumed_at"]),
        resume if one["status"] == "paused" else "",
    ]


def _suppressed(one: dict[str, Any]) -> list[Cell]:
    return [
        one["entry"],
        ", ".join(kind.replace("_", " ") for kind in one["kinds"]),
        one.get("reason") or "",
        one.get("source") or "",
        moment(one["created_at"]),
    ]
