"""The page behind the link of a double opt-in: it needs no script, and takes nothing from elsewhere."""

from base64 import b64encode
from enum import Enum
from hashlib import sha256
from html import escape

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from dispatcher.domain.confirm_words import Words, words_for

_STYLE = (
    ":root{color-scheme:light dark;font:1.0625rem/1.5 system-ui,sans-serif}"
    "body{margin:0}main{max-width:32rem;margin:12vh auto;padding:0 1.5rem}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "button{font:inherit;padding:.75rem 1.25rem;border:0;border-radius:.5rem;"
    "background:#1a56db;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid #ffb000;outline-offset:2px}"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Vary": "Accept-Language",
}


class Said(Enum):
    ASK = "ask"
    DONE = "done"
    UNKNOWN = "unknown"
    EXPIRED = "expired"


_STATUS = {Said.ASK: 200, Said.DONE: 200, Said.UNKNOWN: 404, Said.EXPIRED: 410}


def answer(request: Request, said: Said) -> Response:
    """In the reader's language (RFC 9110 §12.5.4)."""
    words = words_for(request.headers.get("accept-language", ""))
    headers = {**_HEADERS, "Content-Language": words.code}
    return HTMLResponse(page(words, said), _STATUS[said], headers=headers)


def page(words: Words, said: Said) -> str:
    title, explain = {
        Said.ASK: (words.ask, words.explain),
        Said.DONE: (words.done, words.done_explain),
        Said.UNKNOWN: (words.unknown, words.unknown_explain),
        Said.EXPIRED: (words.expired, words.expired_explain),
    }[said]
    asking = said is Said.ASK
    form = (
        f'<form method="post"><button type="submit">{escape(words.button)}</button></form>'
        f"<p>{escape(words.accident)}</p>"
    )
    role = "" if asking else ' role="status"'
    return (
        f'<!doctype html><html lang="{words.code}"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p{role}>{escape(explain)}</p>{form if asking else ''}</main></body></html>"
    )
