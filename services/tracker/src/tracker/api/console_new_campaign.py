"""A new campaign from a form: the draft, and its first leads as CSV."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from tracker.api.blocks import Link, Page
from tracker.api.campaign_form import BadWish, Wish, new_campaign_form, wish_of, wrong_fields
from tracker.api.console import HEADERS, Console, from_our_page, segment
from tracker.gateway import Asking, NotAnswered, Upload

_MENU = Link("Campaigns", "/dashboard/campaigns")
_MAX_FILE_BYTES = 20 << 20


def build_router(console: Console) -> APIRouter:
    router = APIRouter(prefix="/dashboard/campaigns", include_in_schema=False)

    @router.get("/new")
    async def blank(request: Request) -> Response:
        async def make(_: Asking) -> Page:
            return _page(wish_of({}))

        return await console.show(request, make)

    @router.post("/new")
    async def create(request: Request) -> Response:
        from_our_page(request, console.public_url)
        asking = await console.asking(request)
        if asking is None:
            return RedirectResponse("/login", 303, headers=HEADERS)
        async with request.form(max_files=1, max_fields=20, max_part_size=1 << 20) as answers:
            wish, leads = wish_of(answers), await _file(answers.get("leads"))
        try:
            if len(leads) > _MAX_FILE_BYTES:
                raise BadWish("leads", "larger than 20 MB: send it to the API instead")
            made = await asking.post("/campaigns", wish.body())
        except BadWish as error:
            page = _page(wish, str(error), {error.field: str(error)})
            return console.render(request, page, 422)
        except NotAnswered as error:
            page = _page(wish, str(error), wrong_fields(error.fields))
            return console.render(request, page, 422)
        told = await _add_leads(asking, made["id"], leads)
        return console.go(f"{_MENU.to}/{segment(made['id'])}", told)

    return router


def _page(wish: Wish, problem: str = "", wrong: dict[str, str] | None = None) -> Page:
    form = new_campaign_form(wish, wrong or {})
    return Page("New campaign", "Write it, give it people, start it.", [form], problem, under=_MENU)


async def _file(answer: Any) -> bytes:
    """What was chosen, and a byte more than may be; nothing where no file was."""
    if not isinstance(answer, UploadFile):
        return b""
    return await answer.read(_MAX_FILE_BYTES + 1)


async def _add_leads(asking: Asking, campaign_id: str, leads: bytes) -> str:
    """The campaign is there by now: what is wrong with the file does not undo it."""
    if not leads.strip():
        return "The draft is made. Add leads before you start it."
    path = f"/campaigns/{segment(campaign_id)}/leads"
    try:
        found = await asking.post(path, Upload(leads, "text/csv"))
    except NotAnswered as error:
        return f"!The draft is made, but not all of the leads could be read: {error}"
    return (
        f"The draft is made: {found['imported']} leads, {found['duplicates']} twice in the file, "
        f"{found['invalid']} unusable."
    )
