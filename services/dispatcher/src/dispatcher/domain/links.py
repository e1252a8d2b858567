"""The links of a body: found once per text, replaced by places that a delivery's addresses fill."""

import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit

_TEXT_LINK = re.compile(r"https?://[^\s<>\"'\])]+[^\s<>\"'\]).,;:!?]")
_ALLOWED = ("http", "https", "mailto", "tel")


class BadLink(ValueError):
    """A destination that no mail of ours may carry."""


class _Anchors(HTMLParser):
    """Collects the raw href values of anchors, in order, as they stand in the source."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def check_destination(url: str) -> str:
    """The destination of a link. Raises BadLink for schemes that run code, and for user info."""
    compact = re.sub(r"[\x00-\x20]", "", url)
    scheme = urlsplit(compact).scheme.lower()
    if scheme and scheme not in _ALLOWED:
        raise BadLink(f"the scheme {scheme}: is not allowed in a link")
    if scheme in ("http", "https"):
        parts = urlsplit(compact)
        if not parts.hostname or parts.username is not None:
            raise BadLink(f"{url[:100]!r} names no host, or a user")
    return url


def trackable(url: str) -> bool:
    """Only complete web addresses that are the same for every lead can be tracked."""
    return url.startswith(("http://", "https://")) and "{{" not in url and "{%" not in url


def rewrite_html(html: str, place: Callable[[str], str]) -> str:
    """Replace the destination of every trackable anchor by `place(url)`. Raises BadLink."""
    parser = _Anchors()
    parser.feed(html)
    parser.close()
    for value in parser.found:
        check_destination(value)
    wanted = {value for value in parser.found if trackable(unescape(value))}

    def replace(match: re.Match[str]) -> str:
        value = unescape(match["url"])
        if value not in {unescape(w) for w in wanted}:
            return match[0]
        return f"{match['before']}{match['quote']}{place(value)}{match['quote']}"

    pattern = r"(?P<before><a\b[^>]*?\bhref\s*=\s*)(?P<quote>[\"'])(?P<url>.*?)(?P=quote)"
    return re.sub(pattern, replace, html, flags=re.I | re.S)


def rewrite_text(text: str, place: Callable[[str], str]) -> str:
    """Replace every trackable web address by `place(url)`."""

    def replace(match: re.Match[str]) -> str:
        return place(match[0]) if trackable(match[0]) else match[0]

    return _TEXT_LINK.sub(replace, text)
