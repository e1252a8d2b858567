"""A mail as a tree of parts, read within hard limits (RFC 2045, RFC 2046).

The standard library's parser takes seconds for mails built to hurt it: 10,000 parameters in a
Content-Type, 200,000 parts, 3,000 levels. Here every step is linear, and what is beyond a limit is
left unread, so any input ends quickly and none raises.
"""

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from inbox_watcher.domain.header_fields import (
    MAX_HEADER_BYTES,
    Fields,
    decode_octets,
    parse_fields,
)

MAX_MAIL_BYTES = 1_048_576  # of a larger mail the beginning is read
MAX_PARTS = 100
MAX_DEPTH = 10
MAX_CONTENT_TYPE = 2000
MAX_TEXT_BYTES = 300_000  # of one decoded text part

_TYPE = re.compile(r"\s*([A-Za-z0-9!#$&^_.+-]{1,80})/([A-Za-z0-9!#$&^_.+-]{1,80})")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]{1,60})\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_NESTED = ("message/rfc822", "message/global")


@dataclass(frozen=True)
class Part:
    """One entity. `body` is transfer-encoded; `parts` are the children of a multipart or a mail."""

    fields: Fields
    content_type: str
    parameters: dict[str, str]
    body: bytes
    parts: tuple["Part", ...] = ()

    def walk(self) -> Iterator["Part"]:
        """This part and those in it, but nothing that belongs to an enclosed mail."""
        yield self
        if self.content_type not in _NESTED:
            for part in self.parts:
                yield from part.walk()

    def payload(self) -> bytes:
        """The body without its transfer encoding; damaged encodings give what can be had."""
        encoding = self.fields.get("content-transfer-encoding").strip().lower()
        if encoding == "base64":
            clean = _NOT_BASE64.sub(b"", self.body)
            usable = clean[: len(clean) - (1 if len(clean) % 4 == 1 else 0)]
            try:
                return binascii.a2b_base64(usable + b"=" * (-len(usable) % 4))
            except binascii.Error:
                return b""
        if encoding == "quoted-printable":
            return quopri.decodestring(self.body)
        return self.body

    def text(self) -> str:
        """The payload as text with LF line ends, bounded."""
        return self._text

    @cached_property
    def _text(self) -> str:
        octets = self.payload()[:MAX_TEXT_BYTES]
        text = decode_octets(octets, self.parameters.get("charset", "utf-8"))
        return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


@dataclass(slots=True)
class _Budget:
    parts: int = field(default=MAX_PARTS)


def parse(raw: bytes) -> Part:
    """The mail, whatever it looks like. Line ends may be CRLF, LF or CR."""
    octets = raw[:MAX_MAIL_BYTES]
    octets = octets.replace(b"\r\n", b"\n")
    if b"\n" not in octets[:MAX_HEADER_BYTES]:
        octets = octets.replace(b"\r", b"\n")
    return _entity(octets.lstrip(b"\n"), 0, _Budget(), "text/plain")


def _entity(octets: bytes, depth: int, budget: _Budget, default_type: str) -> Part:
    budget.parts -= 1
    head, body = _split(octets)
    fields = parse_fields(head)
    content_type, parameters = _content_type(fields.get("content-type"), default_type)
    part = Part(fields, content_type, parameters, body)
    if depth >= MAX_DEPTH or budget.parts <= 0:
        return part
    if content_type.startswith("multipart/") and parameters.get("boundary"):
        inner = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
        children = []
        for piece in _pieces(body, parameters["boundary"].encode("utf-8", "replace")):
            if budget.parts <= 0:
                break
            children.append(_entity(piece, depth + 1, budget, inner))
        return Part(fields, content_type, parameters, body, tuple(children))
    if content_type in _NESTED:
        enclosed = part.payload().replace(b"\r\n", b"\n").lstrip(b"\n")
        child = _entity(enclosed, depth + 1, budget, "text/plain")
        return Part(fields, content_type, parameters, body, (child,))
    return part


def _split(octets: bytes) -> tuple[bytes, bytes]:
    """(header block, body); a block without an end within the limit is all header."""
    if octets.startswith(b"\n"):
        return b"", octets[1:]
    end = octets.find(b"\n\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        return octets[:MAX_HEADER_BYTES], b""
    return octets[:end], octets[end + 2 :]


def _content_type(value: str, default: str) -> tuple[str, dict[str, str]]:
    value = value[:MAX_CONTENT_TYPE]
    found = _TYPE.match(value)
    if found is None:
        return default, {}
    parameters: dict[str, str] = {}
    for name, text in _PARAMETER.findall(value[found.end() :]):
        if text.startswith('"'):
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        parameters.setdefault(name.lower(), text)
    return f"{found[1]}/{found[2]}".lower(), parameters


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What stands between the boundary lines; a missing last one is forgiven."""
    marker = b"\n--" + boundary
    body = b"\n" + body
    start = -1
    position = body.find(marker)
    while position >= 0:
        after = position + len(marker)
        rest = body[after : after + 2]
        if rest[:1] in (b"\n", b" ", b"\t", b"") or rest == b"--":
            if start >= 0:
                yield body[start:position]
            if rest == b"--":
                return
            line_end = body.find(b"\n", after)
            if line_end < 0:
                return
            start = line_end + 1
            position = body.find(marker, line_end)  # the line end may open the next boundary
        else:
            position = body.find(marker, after)
    if start >= 0:
        yield body[start:]
