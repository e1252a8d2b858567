"""`/u/{token}`: RFC 8058 one-click for mail programs, a page with buttons for people.

A person may leave everything (the first button), only the series that the mail belongs to, or come
back. The page is the same for all, so that it needs no database and tells nobody who left.

GET and HEAD change nothing, whoever sends them: scanners follow every link. A POST is answered only
when its hit cannot be lost any more. No cookie, no redirect, no check of Origin: the token is the
authority (RFC 8058 §3.1 and §6).
"""

import io
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError

from postfleet.tokens import Purpose, TokenContent, TokenKeys
from tracker.api.clients import Clients
from tracker.api.pages import PAGE_HEADERS
from tracker.api.requests import hit_from
from tracker.api.tracking import NOT_FOUND
from tracker.domain.hits import HitKind
from tracker.domain.languages import Words, words_for
from tracker.intake import Intake

_MAX_BODY = 16 * 1024
_ONE_CLICK = ("List-Unsubscribe", "One-Click")
#: The value of the button pressed -> what it is, and the way that the hit came.
_BUTTONS = {
    "unsubscribe": (HitKind.UNSUBSCRIBED, "page"),
    "series": (HitKind.UNSUBSCRIBED, "series"),
    "resubscribe": (HitKind.RESUBSCRIBED, "page"),
}
_PLAIN_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def build_router(
    keys: TokenKeys, intake: Intake, clients: Clients, pages: Environment
) -> APIRouter:
    router = APIRouter(tags=["public"])

    def page(request: Request, template: str, status: int = 200, button: str = "") -> Response:
        words = words_for(request.headers.get("accept-language", ""))
        html = pages.get_template(template).render(words=words, **_said(words, button))
        headers = {**PAGE_HEADERS, "Content-Language": words.code, "Vary": "Accept-Language"}
        return HTMLResponse(html, status, headers=headers)

    async def note(request: Request, content: TokenContent, kind: HitKind, way: str) -> None:
        client = clients.of(request.scope.get("client"), request.scope["headers"])
        headers = request.scope["headers"]
        await intake.confirm(hit_from(client, request.method, headers, kind, content, way))

    @router.api_route("/u/{token}", methods=["GET", "HEAD"])
    async def show(token: str, request: Request) -> Response:
        """The page that asks for confirmation. Changes nothing."""
        if keys.read(Purpose.UNSUBSCRIBE, token) is None:
            return _missing()
        return page(request, "unsubscribe.html")

    @router.post("/u/{token}")
    async def unsubscribe(token: str, request: Request) -> Response:
        """Unsubscribe: `List-Unsubscribe=One-Click` (RFC 8058), or the page's own form."""
        content = keys.read(Purpose.UNSUBSCRIBE, token)
        if content is None:
            return _missing()
        body = await _body(request)
        if body is None:
            return PlainTextResponse("too large\n", 413, headers=_PLAIN_HEADERS)
        fields = _fields(request.headers.get("content-type", ""), body)
        if _ONE_CLICK in fields:
            await note(request, content, HitKind.UNSUBSCRIBED, "one-click")
            return PlainTextResponse("unsubscribed\n", headers=_PLAIN_HEADERS)
        button = next((value for name, value in fields if name == "confirm"), "")
        if button in _BUTTONS:
            await note(request, content, *_BUTTONS[button])
            return page(request, "unsubscribed.html", button=button)
        return page(request, "unsubscribe.html", 400)

    return router


def _said(words: Words, button: str) -> dict[str, object]:
    """What the page says once a button was pressed."""
    title, explain = {
        "series": (words.only_done, words.only_done_explain),
        "resubscribe": (words.again_done, words.again_done_explain),
    }.get(button, (words.done, words.done_explain))
    return {"title": title, "explain": explain, "offer_again": button == "unsubscribe"}


def _missing() -> Response:
    return Response(NOT_FOUND, 404, _PLAIN_HEADERS, "text/plain")


async def _body(request: Request) -> bytes | None:
    """The body, or None if it is longer than any honest one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return None
    return body


def _fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The form's fields, urlencoded or multipart (RFC 7578); none where it cannot be read."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return parse_qsl(body.decode("latin-1"))
    found: list[tuple[str, str]] = []

    def on_field(field: Any) -> None:
        found.append(((field.field_name or b"").decode("latin-1"), _text(field.value)))

    try:
        parse_form({"Content-Type": content_type.encode()}, io.BytesIO(body), on_field, None)
    except FormParserError:
        return []
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").strip()
