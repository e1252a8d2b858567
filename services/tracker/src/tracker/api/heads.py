"""What a hit's request head tells us, read from its bytes or from the parser's fields.

Of an ordinary GET (RFC 9112) the bytes are enough: no parser, and a field's name is looked at once,
not with every request.
"""

import re
from collections.abc import Iterable

from tracker.domain.hits import KEPT_HEADERS, MAX_TEXT

#: By name, in lower case, with white space and what is too long cut off.
Fields = dict[str, str]

_FORWARDED = "x-forwarded-for"
_KEPT = frozenset((*KEPT_HEADERS, "user-agent", _FORWARDED))
#: With any of these it is no ordinary GET: the parser knows what to do.
_UNUSUAL = frozenset(("content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"))
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_IGNORED, _CONNECTION = "", "connection"
_REMEMBERED = 1000  # spellings
_GET, _VERSION = b"GET ", b" HTTP/1.1"


class _Spellings(dict[bytes, str | None]):
    """By a field name as it is spelled: what it is kept as, if it is; None: not for us."""

    def __missing__(self, spelled: bytes) -> str | None:
        name = spelled.lower().decode("latin-1")
        found: str | None = name if name in _KEPT or name == _CONNECTION else _IGNORED
        if name in _UNUSUAL or not _NAME.fullmatch(spelled):
            found = None
        if len(self) < _REMEMBERED:
            self[spelled] = found
        return found


_spellings = _Spellings()


def read(data: bytes) -> tuple[str, Fields] | None:
    """Path and fields of one whole and ordinary GET that keeps its connection; None: ask the parser."""
    if not data.endswith(b"\r\n\r\n"):
        return None
    lines = data[:-4].split(b"\r\n")
    first = lines[0]
    if not (first.startswith(_GET) and first.endswith(_VERSION)):
        return None
    if not data.count(b"\n") == data.count(b"\r") == len(lines) + 1:
        return None
    fields: Fields = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        kept = _spellings[name]
        if kept is None or not colon or kept in fields:
            return None
        if kept:
            fields[kept] = _text(kept, value)
    if fields.pop(_CONNECTION, "keep-alive").lower() != "keep-alive":
        return None
    return first[len(_GET) : -len(_VERSION)].decode("latin-1"), fields


def of_interest(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The same fields, from a parser's. Of one that comes twice X-Forwarded-For is a list."""
    fields: Fields = {}
    for spelled, value in headers:
        name = spelled.decode("latin-1")
        if name == _FORWARDED and name in fields:
            fields[name] += "," + _text(name, value)
        elif name in _KEPT:
            fields[name] = _text(name, value)
    return fields


def _text(name: str, value: bytes) -> str:
    """Of a list of addresses the end counts: it is not cut."""
    text = value.strip(b" \t").decode("latin-1")
    return text if name == _FORWARDED else text[:MAX_TEXT]
