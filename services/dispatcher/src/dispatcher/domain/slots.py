"""The places that a lead's values take in a text, and how each place writes them.

A place that only names a field, perhaps with a fallback, is a slot; everything else is Liquid's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from urllib.parse import quote

from dispatcher.domain.links import (
    DESTINATION_FILTER,
    URL_FILTER,
    BadLink,
    check_destination,
)
from dispatcher.domain.spintax import BadTemplate

_SLOT = re.compile(
    r"\{\{\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*"
    r"(?:\|\s*default:\s*(?:\"(?P<double>[^\"\\]*)\"|'(?P<single>[^'\\]*)')\s*)?"
    rf"(?:\|\s*(?P<filter>{URL_FILTER}|{DESTINATION_FILTER})\s*)?\}}\}}"
)
_LIQUID_WORDS = frozenset(
    (
        "true", "false", "nil", "null", "none", "empty", "blank", "and", "or", "not", "in",
        "contains", "if", "else", "with", "as", "for",
    )
)  # fmt: skip


class Place(StrEnum):
    TEXT = "text"
    HTML = "html"
    URL = "url"  # inside an address: percent-encoded (RFC 3986 §2.1)
    DESTINATION = "destination"  # a whole address, or its beginning: its scheme is checked


@dataclass(frozen=True, slots=True)
class Slot:
    """`fallback` stands for a value that is missing or empty; it is the operator's, so not escaped."""

    name: str
    fallback: str | None
    place: Place

    def text(self, values: Mapping[str, str]) -> str:
        """What stands in the text. Raises BadTemplate for a missing value, and for a bad address."""
        value = values.get(self.name)
        if not value:
            if self.fallback is not None:
                return (
                    self.fallback if self.place is Place.HTML else _WRITE[self.place](self.fallback)
                )
            if value is None:
                raise missing(self.name)
        return value if self.place is Place.TEXT else _WRITE[self.place](value)


def missing(name: str) -> BadTemplate:
    return BadTemplate(f"{name!r} is undefined: the lead has no such field, the text no default")


def slot_of(output: str, *, html: bool) -> Slot | None:
    """The slot that a `{{ … }}` is, or None if it takes Liquid to say."""
    found = _SLOT.fullmatch(output)
    if found is None or found["name"] in _LIQUID_WORDS:
        return None
    fallback = found["double"] if found["double"] is not None else found["single"]
    place = Place.HTML if html else Place.TEXT
    if found["filter"]:
        place = Place.URL if found["filter"] == URL_FILTER else Place.DESTINATION
    return Slot(found["name"], fallback, place)


def in_address(value: str) -> str:
    """As part of an address: it can add no parameter, no fragment, no host."""
    return quote(value, safe="/", errors="replace")


def as_destination(value: str) -> str:
    """An address that is a lead's. Raises BadTemplate."""
    try:
        return check_destination(value)
    except BadLink as error:
        raise BadTemplate(str(error)) from error


def _same(value: str) -> str:
    return value


#: markupsafe's way to write quotes, which Liquid uses
def in_html(value: str) -> str:
    return escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


_WRITE: Mapping[Place, Callable[[str], str]] = {
    Place.TEXT: _same,
    Place.HTML: in_html,
    Place.URL: in_address,
    Place.DESTINATION: lambda value: in_html(as_destination(value)),
}
