"""A step's text compiled once; each delivery only fills its places.

Headers, MIME structure and links are decided at compile time. What a lead brings passes the encoder
of its place: header, quoted-printable text, HTML, address. A header takes no control character at
all, a body keeps tabs and line ends and drops the others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from dispatcher.domain import headers, mime
from dispatcher.domain.attachments import entity
from dispatcher.domain.campaigns import Campaign, Variant
from dispatcher.domain.footers import UNSUBSCRIBE, html_with_footer, text_with_footer, with_hidden
from dispatcher.domain.headers import Author as Author
from dispatcher.domain.headers import CannotFill as CannotFill
from dispatcher.domain.html_text import text_of
from dispatcher.domain.links import BadLink, rewrite_html, rewrite_words
from dispatcher.domain.quoted_printable import clean
from dispatcher.domain.segments import Part
from dispatcher.domain.spintax import Node, Words, parse
from dispatcher.domain.templates import BadTemplate, Template, template
from postfleet.tokens import Purpose, TokenKeys

DELIVERY_FIELD = "X-Postfleet-Delivery"
_PLACE = "__link_{}"
_PIXEL, _CANARY = "__pixel", "__canary"
_MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
_NO_FILES: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Letter:
    """What one delivery adds to a compiled message. `thread` are Message-IDs of earlier steps.

    `seed` draws the choices; without it the delivery's id does.
    """

    delivery_id: str
    message_id: str
    author: Author
    recipient: str
    date: datetime
    values: Mapping[str, str]
    thread: tuple[str, ...] = ()
    reply_subject: str = ""  # used where the step has no subject of its own
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """`content` has CRLF line ends and is not dot-stuffed yet."""

    content: bytes
    subject: str


class BadPart(CannotFill):
    """A part of a variant that cannot be compiled: `field` is subject, body_text or body_html."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.code, self.reason = field, code, reason


class CompiledMessage:
    """One variant of one step. Raises BadPart at compile time.

    `links` maps the ids of tracked links to their destinations; `canary` is the id of a link that no
    human sees, or "". `files` maps the ids of the step's attachments to their content; None compiles
    the texts only.
    """

    def __init__(
        self,
        campaign: Campaign,
        step: int,
        variant: Variant,
        keys: TokenKeys,
        public_url: str,
        files: Mapping[str, bytes] | None = _NO_FILES,
    ) -> None:
        self._keys, self._public_url, self._campaign = keys, public_url, campaign
        self._where = f"step {step + 1}, variant {variant.name}"
        self._prefix = (campaign.id, step, variant.name)
        self.links: dict[str, str] = {}
        self.canary = ""
        self._subject = _compiled("subject", lambda: template(variant.subject))
        text, html = self._parts(clean(variant.body_text), clean(variant.body_html))
        self._tokens = [(_PLACE.format(link_id), link_id) for link_id in self.links]
        if self.canary:
            self._tokens.append((_CANARY, self.canary))
        self.required: frozenset[str] = frozenset().union(
            *(part.required for part in (self._subject, text, html) if part)
        ) - {UNSUBSCRIBE, _PIXEL, *(name for name, _ in self._tokens)}
        attached = campaign.steps[step].attachments if files is not None else ()
        files = files or _NO_FILES
        self._pieces = mime.body(
            Part(text) if text else None,
            Part(html) if html else None,
            [entity(file, files[file.id]) for file in attached if file.content_id],
            [entity(file, files[file.id]) for file in attached if not file.content_id],
        )

    def _parts(self, text: str, html: str) -> tuple[Template | None, Template | None]:
        rich = _compiled("body_html", lambda: self._html(html)) if html.strip() else None
        field = "body_text" if text.strip() else "body_html"
        source = text if text.strip() else _compiled(field, lambda: text_of(html))
        return _compiled(field, lambda: self._text(source)) if source.strip() else None, rich

    def _text(self, source: str) -> Template:
        nodes = rewrite_words(parse(source.rstrip()), self._placed)
        optout = parse(self._address("u", UNSUBSCRIBE))
        return Template(text_with_footer(nodes, self._campaign.postal_address, optout))

    def _html(self, source: str) -> Template:
        tracking = self._campaign.tracking
        html = rewrite_html(source, self._place)
        optout = self._address("u", UNSUBSCRIBE)
        html = html_with_footer(html, self._campaign.postal_address, optout)
        if tracking.clicks:
            self.canary = self._keys.link_id(*self._prefix, "canary")
        pixel = self._address("o", _PIXEL) + ".gif" if tracking.opens else ""
        canary = self._address("c", _CANARY) if self.canary else ""
        return template(with_hidden(html, pixel, canary), html=True)

    def _place(self, url: str) -> str | None:
        if not self._campaign.tracking.clicks:
            return None
        link_id = self._keys.link_id(*self._prefix, url)
        self.links[link_id] = url
        return self._address("c", _PLACE.format(link_id))

    def _placed(self, url: str) -> Sequence[Node]:
        place = self._place(url)
        return (Words(url),) if place is None else parse(place)

    def _address(self, kind: str, name: str) -> str:
        """An address of ours as a text: only its token differs from mail to mail."""
        return f"{self._public_url}/{kind}/{{{{ {name} }}}}"

    def fill(self, letter: Letter) -> Filled:
        """The whole message for one delivery. Raises CannotFill, naming step, variant and field."""
        try:
            return self._filled(letter)
        except (BadTemplate, BadLink, CannotFill) as error:
            raise CannotFill(f"{self._where}: {error}") from error

    def _filled(self, letter: Letter) -> Filled:
        places = self._places(letter.delivery_id)
        values = {**letter.values, **places}
        seed = letter.seed or letter.delivery_id
        subject = " ".join(self._subject.render(values, seed).split())
        subject = subject or letter.reply_subject
        lines = _common_fields(letter, subject)
        lines += self._own_fields(letter, f"{self._public_url}/u/{places[UNSUBSCRIBE]}")
        return Filled(_octets(lines, self._pieces, values, seed), subject)

    def _places(self, delivery_id: str) -> dict[str, str]:
        make = self._keys.make
        places = {name: make(Purpose.CLICK, delivery_id, id_) for name, id_ in self._tokens}
        places[UNSUBSCRIBE] = make(Purpose.UNSUBSCRIBE, delivery_id)
        if self._campaign.tracking.opens:
            places[_PIXEL] = make(Purpose.OPEN, delivery_id)
        return places

    def _own_fields(self, letter: Letter, optout: str) -> list[str]:
        campaign, lines = self._campaign, []
        if campaign.reply_token and letter.author.plus:
            lines += _reply_to(letter, self._keys)
        if campaign.tracking.opens or campaign.tracking.clicks:
            lines.append(_delivery_field(letter.delivery_id, self._keys))
        # Never folded or encoded: RFC 8058 needs one plain address (RFC 2369).
        lines.append(f"List-Unsubscribe: <{optout}>")
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        return lines


_Made = TypeVar("_Made")


def _compiled(field: str, make: Callable[[], _Made]) -> _Made:
    """What `make` makes; its errors name the field. Raises BadPart."""
    try:
        return make()
    except BadTemplate as error:
        raise BadPart(field, "bad_template", str(error)) from error
    except BadLink as error:
        raise BadPart(field, "bad_link", str(error)) from error


def _common_fields(letter: Letter, subject: str) -> list[str]:
    return [
        f"Date: {headers.date(letter.date)}",
        f"From: {headers.mailbox(letter.author)}",
        f"To: {headers.recipient(letter.recipient)}",
        headers.text_field("Subject", subject),
        f"Message-ID: {letter.message_id}",
        *headers.references(letter.thread),
    ]


def _delivery_field(delivery_id: str, keys: TokenKeys) -> str:
    """By this a report is matched although somebody on the way has changed the Message-ID."""
    return f"{DELIVERY_FIELD}: {keys.make(Purpose.DELIVERY, delivery_id)}"


def _reply_to(letter: Letter, keys: TokenKeys) -> list[str]:
    """The author's address with a token behind a +; none where that would be too long."""
    local, _, domain = letter.author.address.rpartition("@")
    local = f"{local}+{keys.make(Purpose.REPLY, letter.delivery_id)}"
    fits = local.isascii() and len(local) <= _MAX_LOCAL_OCTETS and not local.startswith('"')
    return [f"Reply-To: <{local}@{domain}>"] if fits else []


def _octets(
    lines: Iterable[str], pieces: mime.Pieces, values: Mapping[str, str], seed: str
) -> bytes:
    out = [("\r\n".join(lines) + "\r\nMIME-Version: 1.0\r\n").encode()]
    for piece in pieces:
        if isinstance(piece, bytes):
            out.append(piece)
        else:
            piece.fill(values, seed, out)
    return b"".join(out)


def dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 §4.5.2: lines that start with a dot get one more; the final dot is added."""
    if content.startswith(b"."):
        content = b"." + content
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
