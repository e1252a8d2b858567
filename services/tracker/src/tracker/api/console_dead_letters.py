"""Dead letters on the dashboard: what a consumer could not use, why, another try, or the end.

To look needs a key that may read; to act, one with the scope `admin`: an event is told again, or
nobody hears of it any more.
"""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from postfleet.api_keys import Authenticator, Scope
from tracker.api.blocks import Block, Button, Cell, Facts, Link, Noted, Page, Table, Text
from tracker.api.console import ROWS, Console, next_address
from tracker.dead_letters import CannotTend, DeadLetter, DeadLetters
from tracker.gateway import Asking, NotAnswered

_MENU = Link("Dead letters", "/dashboard/dead-letters")
_AGAIN = "Its service tries it once more, under its old id. Mend the cause first."
_DROP = "It is removed for good: nobody will hear of it again."
_MAX_SHOWN = 100_000  # characters of a body


def build_router(console: Console, letters: DeadLetters, authenticator: Authenticator) -> APIRouter:
    router = APIRouter(prefix="/dashboard/dead-letters", include_in_schema=False)

    @router.get("")
    async def dead_letters(
        request: Request, cursor: Annotated[int, Query(ge=0, lt=1 << 63)] = 0
    ) -> Response:
        async def make(_: Asking) -> Page:
            intro = "What a consumer could not use after five deliveries. Kept for 90 days."
            try:
                found = await letters.page(cursor, ROWS + 1)
            except CannotTend as error:
                return Page("Dead letters", intro, problem=str(error))
            rows = [_row(letter) for letter in found[:ROWS]]
            columns = ("Number", "Since", "Event", "Consumer", "Reason", "", "")
            empty = "None: every event was used by who wanted it."
            more = str(found[ROWS - 1].number) if len(found) > ROWS else ""
            table = Table("Oldest first", columns, rows, empty)
            return Page("Dead letters", intro, [table], following=next_address(request, more))

        return await console.show(request, make)

    @router.get("/{number}")
    async def one(request: Request, number: int) -> Response:
        async def make(_: Asking) -> Page:
            title = f"Dead letter {number}"
            try:
                letter = await letters.get(number)
            except CannotTend as error:
                return Page(title, "", problem=str(error), under=_MENU)
            blocks: list[Block] = [
                Facts("Headers", list(letter.headers.items())),
                Text("Body", _readable(letter.body)),
            ]
            return Page(title, letter.reason, blocks, under=_MENU, buttons=_buttons(number))

        return await console.show(request, make)

    @router.post("/{number}")
    async def act(
        request: Request, number: int, action: Annotated[Literal["replay", "drop"], Form()]
    ) -> Response:
        async def do(asking: Asking) -> str:
            found = await authenticator.check(asking.key)
            if found is None or not found.may(Scope.ADMIN):
                raise NotAnswered("This needs a key with the scope admin.")
            try:
                await (letters.replay if action == "replay" else letters.drop)(number)
            except CannotTend as error:
                raise NotAnswered(str(error)) from error
            done = "was used by its consumer" if action == "replay" else "is dropped"
            return f"Dead letter {number} {done}."

        return await console.act(request, do, _MENU.to)

    return router


def _row(letter: DeadLetter) -> list[Cell]:
    again, drop = _buttons(letter.number)
    return [
        Link(f"Dead letter {letter.number}", f"{_MENU.to}/{letter.number}"),
        letter.stored_at.strftime("%Y-%m-%d %H:%M:%S"),
        Noted(letter.subject, letter.event_id),
        Noted(letter.durable, f"{letter.deliveries} deliveries"),
        letter.reason,
        again,
        drop,
    ]


def _buttons(number: int) -> tuple[Button, Button]:
    to = f"{_MENU.to}/{number}"
    return (
        Button("Replay", to, (("action", "replay"),), sure=_AGAIN),
        Button("Drop", to, (("action", "drop"),), sure=_DROP),
    )


def _readable(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}\n… {len(text):,} characters"
