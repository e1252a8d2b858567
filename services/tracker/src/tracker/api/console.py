"""What all pages of the dashboard share: who asks, how a page is shown, what follows a form.

What the tracker does not own is asked over HTTP with the user's own key (`gateway.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment

from postfleet.problems import Problem
from tracker.api.blocks import Page, as_csv
from tracker.api.pages import PAGE_HEADERS
from tracker.gateway import Asking, Gateway, NotAnswered
from tracker.sessions import COOKIE, Sessions

#: `same-origin` and not `no-referrer`, with which browsers send `Origin: null`.
HEADERS = {**PAGE_HEADERS, "Referrer-Policy": "same-origin"}
ROWS = 100  # of a table at once
_MAX_TOLD = 500


@dataclass(frozen=True, slots=True)
class Console:
    sessions: Sessions
    gateway: Gateway
    pages: Environment
    public_url: str

    async def asking(self, request: Request) -> Asking | None:
        """The gateway as whoever is logged in, if anybody is."""
        key = await self.sessions.key(request.cookies.get(COOKIE, ""))
        return None if key is None else Asking(self.gateway, key)

    async def show(self, request: Request, make: Callable[[Asking], Awaitable[Page]]) -> Response:
        """The page as HTML, or its table as a file with `?format=csv`."""
        asking = await self.asking(request)
        if asking is None:
            return RedirectResponse("/login", 303, headers=HEADERS)
        page = await make(asking)
        if request.query_params.get("format") == "csv" and page.table:
            return _download(page)
        return self.render(request, page)

    def render(self, request: Request, page: Page, status: int = 200) -> Response:
        told = self.sessions.read(request.query_params.get("told", ""))
        html = self.pages.get_template("page.html").render(
            page=page,
            path=page.under.to if page.under else request.url.path,
            told=told.removeprefix("!"),
            told_kind="problem" if told.startswith("!") else "done",
            csv=_with(request, format="csv"),
        )
        return HTMLResponse(html, status, headers=HEADERS)

    async def json(self, request: Request, make: Callable[[], Awaitable[object]]) -> Response:
        """What a script of ours asks for. Raises Problem (401)."""
        if await self.asking(request) is None:
            raise Problem(401, "UNAUTHORIZED", "log in first")
        return JSONResponse(await make(), headers={"Cache-Control": "no-store"})

    async def act(
        self, request: Request, do: Callable[[Asking], Awaitable[str]], back: str
    ) -> Response:
        """Do what a form asks for, then go `back` and say what came of it."""
        from_our_page(request, self.public_url)
        asking = await self.asking(request)
        if asking is None:
            return RedirectResponse("/login", 303, headers=HEADERS)
        try:
            told = await do(asking)
        except NotAnswered as error:
            told = f"!{error}"
        return self.go(back, told)

    def go(self, to: str, told: str = "") -> Response:
        """To another page; what is told there is signed, so that a link can put no words there."""
        query = f"?{urlencode({'told': self.sessions.sign(told[:_MAX_TOLD])})}" if told else ""
        return RedirectResponse(to + query, 303, headers=HEADERS)


def from_our_page(request: Request, public_url: str) -> None:
    """Refuse a form that a browser sent from another site. Raises Problem (403)."""
    origin = request.headers.get("origin")
    named = (request.headers.get("host", ""), request.headers.get("x-forwarded-host", ""))
    ours = {*named, urlsplit(public_url).netloc} - {""}
    if origin is not None and urlsplit(origin).netloc not in ours:
        raise Problem(403, "FOREIGN_FORM", "this form was sent from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "FOREIGN_FORM", "this form was sent from another site")


def segment(text: str) -> str:
    """A text as one segment of a path, whatever is in it."""
    return quote(text, safe="")


def next_address(request: Request, cursor: str) -> str:
    """The page's own address with the cursor of what follows; "" where nothing does."""
    return _with(request, cursor=cursor) if cursor else ""


def _with(request: Request, **changes: str) -> str:
    kept = {k: v for k, v in request.query_params.items() if k != "told"}
    return f"{request.url.path}?{urlencode({**kept, **changes})}"


def _download(page: Page) -> Response:
    if page.table is None:
        raise Problem(404, "NOT_FOUND", "this page has no table")
    name = "-".join(page.title.lower().split())
    safe = "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-_"))[:80]
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{safe or "table"}.csv"'}
    return Response(as_csv(page.table), media_type="text/csv; charset=utf-8", headers=headers)
