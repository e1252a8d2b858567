"""The links of a body: found once per text, replaced by places that a delivery's addresses fill.

One pass over the text, whatever is in it: the standard library's parser and most regular
expressions need minutes for a text of unclosed tags.
"""

import re
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import SplitResult, urlsplit

_TEXT_LINK = re.compile(r"https?://[^\s<>\"'\])]+[^\s<>\"'\]).,;:!?]")
_ALLOWED = ("http", "https", "mailto", "tel")
_TAG = re.compile(r"<(?:(?P<comment>!--)|(?P<name>[a-zA-Z][^\s/>]*+))")
#: one attribute, or the end of the tag; a quote that is never closed lasts to the end of the text
_ATTRIBUTE = re.compile(
    r"[\s/]*+(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?P<value>\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s>\"'][^\s>]*+)?)?)"
)


class BadLink(ValueError):
    """A destination that no mail of ours may carry."""


def check_destination(url: str) -> str:
    """The destination of a link. Raises BadLink for schemes that run code, and for user info."""
    parts = _split(url)
    scheme = parts.scheme.lower()
    if scheme and scheme not in _ALLOWED:
        raise BadLink(f"the scheme {scheme}: is not allowed in a link")
    on_a_host = scheme in ("http", "https") or bool(parts.netloc)
    if on_a_host and (not parts.hostname or parts.username is not None):
        raise BadLink(f"{url[:100]!r} names no host, or a user")
    return url


def _split(url: str) -> SplitResult:
    """As browsers read it: they pass over white space and control characters."""
    try:
        return urlsplit(re.sub(r"[\x00-\x20]", "", url))
    except ValueError as error:
        raise BadLink(f"{url[:100]!r} is no web address") from error


def trackable(url: str) -> bool:
    """Only complete web addresses that are the same for every lead can be tracked."""
    return url.startswith(("http://", "https://")) and "{{" not in url and "{%" not in url


def rewrite_html(html: str, place: Callable[[str], str]) -> str:
    """Replace the destination of every trackable anchor by `place(url)`. Raises BadLink."""
    pieces, done = [], 0
    for start, end in _destinations(html):
        url = check_destination(unescape(html[start:end].strip("\"'")))
        if trackable(url):
            pieces += [html[done:start], f'"{place(url)}"']
            done = end
    return "".join([*pieces, html[done:]])


def _destinations(html: str) -> Iterator[tuple[int, int]]:
    """Where the href values of anchors stand, quotes included: the first of each tag counts."""
    position = 0
    while tag := _TAG.search(html, position):
        position = tag.end()
        if tag["comment"]:
            end = html.find("-->", position)
            if end < 0:
                return
            position = end
            continue
        wanted = tag["name"].lower() in ("a", "area")
        while (attribute := _ATTRIBUTE.match(html, position)) and not attribute["end"]:
            position = attribute.end()
            if wanted and attribute["name"].lower() == "href":
                wanted = False
                if attribute["value"]:
                    yield attribute.span("value")
        if attribute is None:  # the text ends inside the tag
            return


def rewrite_text(text: str, place: Callable[[str], str]) -> str:
    """Replace every trackable web address by `place(url)`. Raises BadLink."""

    def replace(match: re.Match[str]) -> str:
        return place(check_destination(match[0])) if trackable(match[0]) else match[0]

    return _TEXT_LINK.sub(replace, text)
