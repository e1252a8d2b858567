"""Quoted-printable (RFC 2045 §6.7) that can go on behind what another piece has begun.

No line has more than 76 characters; none begins with a dot (RFC 5321 §4.5.2) or with "From " (which
some mail stores change), so nothing on the way has a reason to touch it.
"""

import re

MAX_COLUMN = 72  # leaves room for one escape more and the "=" of a soft line break
SOFT_BREAK = b"=\r\n"
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPED = [
    chr(octet) if (32 <= octet <= 126 and octet != 61) or octet == 9 else f"={octet:02X}"
    for octet in range(256)
]
_NEEDS_ESCAPE = re.compile(rb"[^\t -<>-~]")


def clean(text: str) -> str:
    """What a body keeps of a text: no control characters, one form of line end."""
    if text.isprintable():
        return text
    return _NOT_TEXT.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def encode(text: str, column: int = 0, *, ends_line: bool = False) -> bytes:
    """The octets of a cleaned text that begins at this column.

    `ends_line`: a line end follows, before which white space must not stand bare.
    """
    lines = text.split("\n")
    last = len(lines) - 1
    return b"\r\n".join(
        _line(line, 0 if number else column, hard=ends_line or number < last)
        for number, line in enumerate(lines)
    )


def _line(line: str, column: int, *, hard: bool) -> bytes:
    octets = line.encode("utf-8", "replace")
    if _NEEDS_ESCAPE.search(octets):
        octets = "".join([_ESCAPED[octet] for octet in octets]).encode()
    if not octets:
        return SOFT_BREAK if hard and column else b""
    if hard and octets[-1:] in (b" ", b"\t"):
        octets = octets[:-1] + (b"=20" if octets.endswith(b" ") else b"=09")
    return _folded(octets, column)


def _folded(octets: bytes, column: int) -> bytes:
    """Cut into lines, never inside an escape."""
    if column and len(octets) <= MAX_COLUMN - column:
        return octets
    pieces = [b""] if column else []
    start = 0
    while start < len(octets):
        end = start + MAX_COLUMN
        if end < len(octets):
            escape = octets.rfind(b"=", end - 2, end)
            end = escape if escape >= 0 else end
        pieces.append(_safe_start(octets[start:end]))
        start = end
    return SOFT_BREAK.join(pieces)


def _safe_start(line: bytes) -> bytes:
    if line.startswith(b"."):
        return b"=2E" + line[1:]
    return b"=46" + line[1:] if line.startswith(b"From ") else line
