"""What IMAP answers say: untagged responses in, messages out (RFC 3501 §7).

A response is a list of lines (bytes) and literals (bytearray), as the protocol's framer cut it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_BODY = re.compile(rb"BODY\[\](?:<\d+>)? (?:\{\d+\}$|\"([^\"]*)\"|(NIL))")
_FETCH = re.compile(rb"\d{1,10} FETCH \(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message, or its first bytes; `raw` is None where the server did not give it."""

    uid: int
    raw: bytes | None
    size_bytes: int
    received_at: datetime | None


def grouped(lines: Sequence[bytes | bytearray]) -> list[list[bytes | bytearray]]:
    """The parts of each untagged response: a literal (bytearray) belongs to the line before it."""
    groups: list[list[bytes | bytearray]] = []
    after_literal = False
    for part in lines:
        is_literal = isinstance(part, bytearray)
        if groups and (is_literal or after_literal):
            groups[-1].append(part)
        else:
            groups.append([part])
        after_literal = is_literal
    return groups


def joined(parts: Sequence[bytes | bytearray]) -> bytes:
    """A response with its literals as quoted strings, where they are names."""
    text = b""
    for part in parts:
        if isinstance(part, bytearray):
            text = text[: text.rfind(b"{")] + b'"' + bytes(part) + b'"'
        else:
            text += bytes(part)
    return text


def fetched_message(parts: Sequence[bytes | bytearray], max_bytes: int) -> Fetched | None:
    if not _FETCH.match(bytes(parts[0])):
        return None
    attributes = b" ".join(bytes(part) for part in parts if not isinstance(part, bytearray))
    uid = _UID.search(attributes)
    if uid is None:
        return None
    size, date = _SIZE.search(attributes), _DATE.search(attributes)
    raw = _body(parts)
    return Fetched(
        uid=int(uid[1]),
        raw=None if raw is None else raw[:max_bytes],
        size_bytes=int(size[1]) if size else len(raw or b""),
        received_at=_internal_date(date[1]) if date else None,
    )


def _body(parts: Sequence[bytes | bytearray]) -> bytes | None:
    for index, part in enumerate(parts):
        if isinstance(part, bytearray):
            continue
        found = _BODY.search(bytes(part))
        if found is None:
            continue
        if found[0].endswith(b"}"):
            following = parts[index + 1] if index + 1 < len(parts) else b""
            return bytes(following)
        return found[1] or b""
    return None


def _internal_date(text: bytes) -> datetime | None:
    try:
        moment = datetime.strptime(text.decode("ascii").strip(), "%d-%b-%Y %H:%M:%S %z")
    except ValueError:
        return None
    return moment.astimezone(UTC)
