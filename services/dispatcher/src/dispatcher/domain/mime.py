"""How the parts of a mail are put together (RFC 2046): alternative in related in mixed."""

from collections.abc import Sequence
from hashlib import sha256

from dispatcher.domain.segments import Part

#: Fixed octets and the bodies between them, in the order of the mail.
Pieces = tuple[bytes | Part, ...]


def body(
    text: Part | None, html: Part | None, images: Sequence[bytes], files: Sequence[bytes]
) -> Pieces:
    """The fields that describe the content, and the content. `images` and `files` are entities."""
    rich = _body_part("html", html) if html is not None else None
    if rich is not None and images:
        rich = _multipart("related", [rich, *((image,) for image in images)])
    plain = _body_part("plain", text) if text is not None else None
    both = [part for part in (plain, rich) if part is not None]
    whole = both[0] if len(both) == 1 else _multipart("alternative", both)
    return _multipart("mixed", [whole, *((file,) for file in files)]) if files else whole


def _body_part(subtype: str, part: Part) -> Pieces:
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return (head.encode(), part)


def _multipart(subtype: str, children: Sequence[Pieces]) -> Pieces:
    """`=_` never occurs in quoted-printable or base64, so no content can hold the boundary."""
    boundary = b"=_" + sha256(f"{subtype}".encode()).hexdigest()[:20].encode()
    kind = subtype.encode()
    pieces: list[bytes | Part] = [
        b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (kind, boundary)
    ]
    for number, child in enumerate(children):
        pieces += [b"%b--%b\r\n" % (b"\r\n" if number else b"", boundary), *child]
    return (*pieces, b"\r\n--%b--\r\n" % boundary)
