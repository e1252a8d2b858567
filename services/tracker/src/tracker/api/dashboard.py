"""The dashboard at `/`: rendered here, kept fresh by a small script that reads its data as JSON.

A form is accepted only from our own pages: the cookie is SameSite=Strict, and a browser's Origin
must be this host.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment

from postfleet.outages import Unavailable
from postfleet.problems import Problem
from tracker.api.console import HEADERS, from_our_page
from tracker.figures import Figures
from tracker.sessions import COOKIE, Sessions

_WRONG = "This key is not known, or may not read."
_CANNOT_TELL = "The service that knows the keys does not answer. Please try again."


def build_router(
    figures: Figures, sessions: Sessions, pages: Environment, public_url: str
) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    secure = public_url.startswith("https://")

    def page(template: str, status: int = 200, **values: object) -> Response:
        html = pages.get_template(template).render(**values)
        return HTMLResponse(html, status, headers=HEADERS)

    async def logged_in(request: Request) -> bool:
        cookie = request.cookies.get(COOKIE)
        return cookie is not None and await sessions.key(cookie) is not None

    @router.get("/")
    async def dashboard(request: Request) -> Response:
        if not await logged_in(request):
            return RedirectResponse("/login", 303, headers=HEADERS)
        return page("dashboard.html", data=await figures.dashboard())

    @router.get("/dashboard/data.json")
    async def data(request: Request) -> Response:
        if not await logged_in(request):
            raise Problem(401, "UNAUTHORIZED", "log in first")
        return JSONResponse(await figures.dashboard(), headers={"Cache-Control": "no-store"})

    @router.get("/login")
    async def login_page(request: Request) -> Response:
        if await logged_in(request):
            return RedirectResponse("/", 303, headers=HEADERS)
        return page("login.html", problem="")

    @router.post("/login")
    async def login(request: Request, key: Annotated[str, Form(max_length=512)] = "") -> Response:
        from_our_page(request, public_url)
        try:
            cookie = await sessions.open(key.strip())
        except Unavailable:
            return page("login.html", 503, problem=_CANNOT_TELL)
        if cookie is None:
            return page("login.html", 401, problem=_WRONG)
        response = RedirectResponse("/", 303, headers=HEADERS)
        response.set_cookie(
            COOKIE, cookie, sessions.seconds, httponly=True, samesite="strict", secure=secure
        )
        return response

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        from_our_page(request, public_url)
        response = RedirectResponse("/login", 303, headers=HEADERS)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
        return response

    return router
