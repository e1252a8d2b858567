"""A step's text compiled once; each delivery only fills its places.

Headers, MIME structure and links are decided at compile time. What a lead brings passes the encoder
of its place: header, quoted-printable text, HTML, address. None of them lets CR, LF or another
control character through.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from hashlib import sha256
from html import escape

from dispatcher.domain.campaigns import Campaign, Variant
from dispatcher.domain.links import rewrite_html, rewrite_text
from dispatcher.domain.templates import BadTemplate, Template
from postfleet.addresses import check_text
from postfleet.tokens import Purpose, TokenKeys

_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BODY_END = re.compile("</body>", re.IGNORECASE)
_PLACE = "__link_{}"
_OPTOUT = "__unsubscribe"
_PIXEL = "__pixel"
_TEXT_FOOTER = "\n\n-- \n{address}\nUnsubscribe: {{{{ {optout} }}}}\n"
_HTML_FOOTER = (
    '<hr><p style="font-size:12px;color:#666">{address}<br>'
    '<a href="{{{{ {optout} }}}}">Unsubscribe</a></p>'
)
_HTML_PIXEL = '<img src="{{{{ {pixel} }}}}" width="1" height="1" alt="" style="display:none">'


class CannotFill(ValueError):
    """This lead's data does not fit the template; the text names the field or the reason."""


@dataclass(frozen=True, slots=True)
class Author:
    address: str
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one delivery adds to a compiled message. `thread` are Message-IDs of earlier steps."""

    delivery_id: str
    message_id: str
    author: Author
    recipient: str
    date: datetime
    values: Mapping[str, str]
    thread: tuple[str, ...] = ()
    reply_subject: str = ""  # used where the step has no subject of its own


@dataclass(frozen=True, slots=True)
class Filled:
    """`content` has CRLF line ends and is not dot-stuffed yet."""

    content: bytes
    subject: str


class CompiledMessage:
    """One variant of one step. Raises BadTemplate or BadLink at compile time."""

    def __init__(
        self, campaign: Campaign, step: int, variant: Variant, keys: TokenKeys, public_url: str
    ) -> None:
        self._keys, self._public_url = keys, public_url
        self._is_campaign = campaign.category == "campaign"
        self.links: dict[str, str] = {}
        self._prefix = (campaign.id, step, variant.name)
        clicks = campaign.tracking.clicks
        text = rewrite_text(variant.body_text, self._place) if clicks else variant.body_text
        html = rewrite_html(variant.body_html, self._place) if clicks else variant.body_html
        if not clicks:
            rewrite_html(
                variant.body_html, lambda url: url
            )  # refuses bad destinations all the same
        if self._is_campaign:
            text = _with_text_footer(text, campaign.postal_address) if text else text
            html = _before_body_end(html, _html_footer(campaign.postal_address)) if html else html
        if campaign.tracking.opens and html:
            html = _before_body_end(html, _HTML_PIXEL.format(pixel=_PIXEL))
        self._subject = Template(variant.subject)
        self._text = Template(text) if text else None
        self._html = Template(html, html=True) if html else None

    def _place(self, url: str) -> str:
        link_id = self._keys.link_id(*self._prefix, url)
        self.links[link_id] = url
        return "{{ " + _PLACE.format(link_id) + " }}"

    def fill(self, letter: Letter) -> Filled:
        """The whole message for one delivery. Raises CannotFill."""
        places = self._places(letter.delivery_id)
        values = {**letter.values, **places}
        try:
            subject = " ".join(self._subject.render(values).split()) or letter.reply_subject
            text = self._text.render(values) if self._text else None
            html = self._html.render(values) if self._html else None
        except BadTemplate as error:
            raise CannotFill(str(error)) from error
        headers = self._headers(letter, subject, places.get(_OPTOUT))
        return Filled(headers + _body(letter.delivery_id, text, html), subject)

    def _places(self, delivery_id: str) -> dict[str, str]:
        make, base = self._keys.make, self._public_url
        places = {
            _PLACE.format(link_id): f"{base}/c/{make(Purpose.CLICK, delivery_id, link_id)}"
            for link_id in self.links
        }
        places[_OPTOUT] = f"{base}/u/{make(Purpose.UNSUBSCRIBE, delivery_id)}"
        places[_PIXEL] = f"{base}/o/{make(Purpose.OPEN, delivery_id)}.gif"
        return places

    def _headers(self, letter: Letter, subject: str, optout: str | None) -> bytes:
        author = letter.author
        lines = [
            f"Date: {format_datetime(letter.date)}",
            f"From: {_mailbox(author)}",
            f"To: {_address_header(letter.recipient)}",
            _header("Subject", subject),
            f"Message-ID: {letter.message_id}",
            "MIME-Version: 1.0",
        ]
        if letter.thread:
            lines.append(f"In-Reply-To: {letter.thread[-1]}")
            lines.append("References: " + "\r\n ".join(letter.thread))
        if self._is_campaign and optout:
            # Never folded or encoded: RFC 8058 needs one plain https address (RFC 2369).
            lines.append(f"List-Unsubscribe: <{optout}>")
            lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        return ("\r\n".join(lines) + "\r\n").encode()


def _with_text_footer(text: str, address: str) -> str:
    return text.rstrip() + _TEXT_FOOTER.format(address=_literal(address), optout=_OPTOUT)


def _html_footer(address: str) -> str:
    lines = _literal(escape(address)).replace("\n", "<br>")
    return _HTML_FOOTER.format(address=lines, optout=_OPTOUT)


def _literal(text: str) -> str:
    """The operator's address is text, not a template."""
    return text.replace("{", "(").replace("}", ")")


def _before_body_end(html: str, addition: str) -> str:
    # Not by html.lower(): that changes the length of some letters (the Turkish dotted I).
    ends = [match.start() for match in _BODY_END.finditer(html)] or [len(html)]
    return html[: ends[-1]] + addition + html[ends[-1] :]


def _header(name: str, value: str) -> str:
    try:
        check_text(value)
    except ValueError as error:
        raise CannotFill(f"{name}: {error}") from error
    if value.isascii() and len(value) < 900 and "=?" not in value:  # RFC 2047 §2
        return f"{name}: {value}"
    encoded = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {encoded}"


def _mailbox(author: Author) -> str:
    if not author.display_name:
        return f"<{author.address}>"
    name = author.display_name
    try:
        check_text(name, max_octets=256)
    except ValueError as error:
        raise CannotFill(f"display_name: {error}") from error
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{author.address}>'
    return f"{Header(name, 'utf-8').encode(linesep=chr(13) + chr(10))} <{author.address}>"


def _address_header(address: str) -> str:
    return check_text(address, max_octets=320)


def _body(delivery_id: str, text: str | None, html: str | None) -> bytes:
    parts = [
        _part(subtype, body)
        for subtype, body in (("plain", text), ("html", html))
        if body is not None
    ]
    if len(parts) == 1:
        return parts[0]
    boundary = b"=_" + sha256(delivery_id.encode()).hexdigest()[:24].encode()
    head = b'Content-Type: multipart/alternative; boundary="' + boundary + b'"\r\n\r\n'
    return (
        head
        + b"".join(b"--%b\r\n%b" % (boundary, part) for part in parts)
        + b"--%b--\r\n" % boundary
    )


def _part(subtype: str, body: str) -> bytes:
    """Quoted-printable (RFC 2045 §6.7): 7-bit, no line over 76, nothing for a server to rewrite."""
    clean = _NOT_TEXT.sub("", body).replace("\r\n", "\n").replace("\r", "\n")
    encoded = binascii.b2a_qp(clean.encode("utf-8", "replace"), istext=True)
    lines = encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return head.encode() + lines + (b"" if lines.endswith(b"\r\n") else b"\r\n")


def dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 §4.5.2: lines that start with a dot get one more; the final dot is added."""
    if content.startswith(b"."):
        content = b"." + content
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
