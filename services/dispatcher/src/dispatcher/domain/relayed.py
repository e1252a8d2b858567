"""A mail that a client handed in over SMTP: what of it is refused, what is read, what is changed.

It is changed as little as may be, so that a signature stays good: Received and what RFC 6409 §8 lets
a submission server add go in front, Bcc goes. Everything else stays, byte for byte.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header

from dispatcher.domain import headers
from postfleet.addresses import InvalidAddress, canonical, split_address

MAX_HEADER_BYTES = 256 * 1024
MAX_FIELDS = 1000
MAX_HOPS = 50  # RFC 5321 §6.3
MAX_LINE_BYTES = 998  # RFC 5322 §2.1.1, without the CRLF

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_ADDRESS = r"[^\s<>()\[\],;:\\\"@]++@[^\s<>()\[\],;:\\\"@]++"
#: one mailbox (RFC 5322 §3.4), as every receiver reads it: no group, no list, no route
_MAILBOX = re.compile(
    rf'\s*+(?:(?:"(?:[^"\\]|\\.)*+"|[^"<>@,;:()\\]++)*+<({_ADDRESS})>|({_ADDRESS}))'
    r"\s*+(?:\([^()\\]*+\)\s*+)?"
)
_TEXT_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_DROPPED = frozenset({b"bcc", b"resent-bcc", b"return-path"})
_ONCE = (b"from", b"sender", b"subject", b"date", b"message-id", b"to", b"cc", b"reply-to")


class Unacceptable(Exception):
    """The text is the whole reply, its codes included."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a mail came from; it becomes the Received field (RFC 5321 §4.4)."""

    helo: str
    ip: str
    by: str
    protocol: str  # ESMTP, ESMTPS, ESMTPSA, … (RFC 3848)
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Relayed:
    """`author` and `agent` (of the Sender field, or "") are canonical addresses."""

    author: str
    agent: str
    subject: str
    message_id: str  # "" where it has none
    has_date: bool
    fields: bytes  # without Bcc
    rest: bytes  # from the empty line on


def examine(content: bytes, *, smtputf8: bool) -> Relayed:
    """Read what we need; raises Unacceptable. `content` has no dot-stuffing any more."""
    _check_octets(content)
    head, rest = _split(content)
    if not smtputf8 and not head.isascii():
        raise Unacceptable("550 5.6.7 A header field is not ASCII: that needs SMTPUTF8 (RFC 6531)")
    found: dict[bytes, bytes] = {}
    kept = []
    hops = 0
    for name, field in _fields(head):
        if name in found and name in _ONCE:
            raise Unacceptable(f"550 5.6.0 {name.decode().title()} is there twice (RFC 5322, 3.6)")
        found[name] = field
        hops += name == b"received"
        if name not in _DROPPED:
            kept.append(field)
    if hops > MAX_HOPS:
        raise Unacceptable("554 5.4.6 Too many hops: this mail runs in a loop")
    return Relayed(
        author=_author(found.get(b"from")),
        agent=_mailbox(found[b"sender"], "Sender") if b"sender" in found else "",
        subject=_shown(found.get(b"subject", b"")),
        message_id=_message_id(found.get(b"message-id")),
        has_date=b"date" in found,
        fields=b"".join(kept),
        rest=rest,
    )


def completed(mail: Relayed, arrival: Arrival, message_id: str) -> bytes:
    """The mail as it goes on; `message_id` is for one that has none."""
    added = _received(arrival)
    if not mail.has_date:
        added += f"Date: {headers.date(arrival.at)}\r\n"
    if not mail.message_id:
        added += f"Message-ID: {message_id}\r\n"
    return added.encode() + mail.fields + mail.rest


def bare_line_ends(data: bytes) -> bool:
    """Whether a CR or LF stands alone: what one server reads as a line end, the next one does not."""
    return not data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")


def _check_octets(content: bytes) -> None:
    if bare_line_ends(content):
        raise Unacceptable("550 5.6.11 A bare CR or LF is not allowed (RFC 5321, 2.3.8)")
    if b"\0" in content:
        raise Unacceptable("550 5.6.0 NUL is not allowed (RFC 5322, 2.1)")
    if max(map(len, content.split(b"\r\n"))) > MAX_LINE_BYTES:
        raise Unacceptable(f"550 5.6.0 A line is longer than {MAX_LINE_BYTES} octets")


def _split(content: bytes) -> tuple[bytes, bytes]:
    if content.startswith(b"\r\n"):
        return b"", content
    end = content.find(b"\r\n\r\n", 0, MAX_HEADER_BYTES + 4)
    if end < 0:
        if len(content) > MAX_HEADER_BYTES:
            raise Unacceptable(f"552 5.3.4 The header is larger than {MAX_HEADER_BYTES} octets")
        return content, b""
    return content[: end + 2], content[end + 2 :]


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, the whole field with its line ends)"""
    fields: list[tuple[bytes, bytes]] = []
    for line in head.splitlines(keepends=True):
        if line[:1] in b" \t" and fields:
            name, field = fields[-1]
            fields[-1] = (name, field + line)
            continue
        found = _FIELD.match(line)
        if not found:
            raise Unacceptable("550 5.6.0 A header line is no field (RFC 5322, 2.2)")
        if len(fields) >= MAX_FIELDS:
            raise Unacceptable(f"552 5.3.4 More than {MAX_FIELDS} header fields")
        fields.append((found[1].lower(), line))
    return fields


def _value(field: bytes) -> str:
    unfolded = field.partition(b":")[2].replace(b"\r\n", b"")
    return unfolded.decode("utf-8", "replace").strip()


def _author(field: bytes | None) -> str:
    if field is None:
        raise Unacceptable("550 5.6.0 There is no From field (RFC 5322, 3.6)")
    return _mailbox(field, "From")


def _mailbox(field: bytes, name: str) -> str:
    found = _MAILBOX.fullmatch(_value(field))
    if not found:
        raise Unacceptable(f"550 5.6.0 {name} must be one mailbox, such as Ann <ann@example.com>")
    address = found[1] or found[2]
    try:
        split_address(address)
    except InvalidAddress as error:
        raise Unacceptable(f"550 5.1.7 {name}: {error}") from error
    return canonical(address)


def _message_id(field: bytes | None) -> str:
    if field is None:
        return ""
    value = _value(field)
    if not _MESSAGE_ID.fullmatch(value):
        raise Unacceptable("550 5.6.0 The Message-ID is not valid (RFC 5322, 3.6.4)")
    return value


def _shown(field: bytes) -> str:
    """The subject for people: decoded, one line, no control character."""
    value = _value(field)[:2000]
    try:
        parts = [
            part.decode(charset or "ascii", "replace") if isinstance(part, bytes) else part
            for part, charset in decode_header(value)
        ]
        value = "".join(parts)
    except (HeaderParseError, LookupError, ValueError):
        pass
    return _TEXT_CONTROL.sub(" ", value).strip()[:500]


def _received(arrival: Arrival) -> str:
    helo = re.sub(r"[^A-Za-z0-9.:\[\]_-]", "?", arrival.helo)[:255] or "unknown"
    return (
        f"Received: from {helo} ([{arrival.ip}])\r\n"
        f"\tby {arrival.by} with {arrival.protocol} id {arrival.id};\r\n"
        f"\t{headers.date(arrival.at)}\r\n"
    )
