"""A step's text compiled once; each delivery only fills its places.

Headers, MIME structure and links are decided at compile time. What a lead brings passes the encoder
of its place: header, quoted-printable text, HTML, address. A header takes no control character at
all, a body keeps tabs and line ends and drops the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from dispatcher.domain import headers, mime
from dispatcher.domain.attachments import entity
from dispatcher.domain.campaigns import Campaign, Variant
from dispatcher.domain.footers import UNSUBSCRIBE, html_with_footer, text_with_footer, with_hidden
from dispatcher.domain.headers import Author as Author
from dispatcher.domain.headers import CannotFill as CannotFill
from dispatcher.domain.html_text import text_of
from dispatcher.domain.links import BadLink, rewrite_html, rewrite_words
from dispatcher.domain.quoted_printable import clean
from dispatcher.domain.rows import Row, Token
from dispatcher.domain.segments import Part
from dispatcher.domain.spintax import Node, Words, parse
from dispatcher.domain.templates import BadTemplate, Template, template
from postfleet.tokens import Maker, Purpose, TokenKeys

DELIVERY_FIELD = "X-Postfleet-Delivery"
_PLACE = "__link_{}"
_PIXEL, _CANARY = "__pixel", "__canary"
_DELIVERY = " delivery"  # with a space: no field of a lead, and no place in a text, has that name
_NO_DELIVERY = bytes(16)
_MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
_NO_FILES: Mapping[str, bytes] = {}


class Letter(NamedTuple):
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


class Filled(NamedTuple):
    """`content` has CRLF line ends and is not dot-stuffed yet; `dotless`: no line begins with a dot."""

    content: bytes
    subject: str
    dotless: bool = False


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
        self._prefix, self._step = (campaign.id, step, variant.name), step
        self.links: dict[str, str] = {}
        self.canary = ""
        self._subject = _compiled("subject", lambda: template(variant.subject))
        text, html = self._parts(clean(variant.body_text), clean(variant.body_html))
        self._tokens = self._token_makers(keys)
        self.required = _made_of(self._subject, text, html) - self._tokens.keys()
        self._row = self._compiled_row(text, html, files)
        self._spells = self._row.spells or not self._subject.fields.isdisjoint(self._tokens)

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
        ids = bytes.fromhex(letter.delivery_id)
        tokens = [make(ids + link) for make, link in self._tokens.values()]
        values = letter.values
        if self._spells:
            values = {**values, **dict(zip(self._tokens, map(bytes.decode, tokens), strict=True))}
        seed = letter.seed or letter.delivery_id
        subject = " ".join(self._subject.render(values, seed).split()) or letter.reply_subject
        head = self._head(letter, subject)
        return Filled(self._row.filled(head, tokens, values, seed), subject, dotless=True)

    def _head(self, letter: Letter, subject: str) -> bytes:
        """The fields that are this letter's own; a token alone is a place in the row."""
        answers = headers.references(letter.thread) if letter.thread else ""
        reply_to = ""
        if self._campaign.reply_token and letter.author.plus:
            reply_to = _reply_to(letter, self._keys)
        return (
            f"Date: {headers.date(letter.date)}\r\n"
            f"From: {headers.mailbox(letter.author)}\r\n"
            f"To: {headers.recipient(letter.recipient)}\r\n"
            f"{headers.text_field('Subject', subject)}\r\n"
            f"Message-ID: {letter.message_id}\r\n{answers}{reply_to}"
        ).encode()

    def _token_makers(self, keys: TokenKeys) -> dict[str, tuple[Maker, bytes]]:
        """Name -> what makes the token of a delivery, and the octets of the link in it."""
        tracking = self._campaign.tracking
        click, own = keys.maker(Purpose.CLICK), {UNSUBSCRIBE: Purpose.UNSUBSCRIBE}
        if tracking.opens:
            own[_PIXEL] = Purpose.OPEN
        if tracking.opens or tracking.clicks:
            own[_DELIVERY] = Purpose.DELIVERY
        links = {_PLACE.format(link_id): link_id for link_id in self.links}
        if self.canary:
            links[_CANARY] = self.canary
        return {name: (click, bytes.fromhex(link_id)) for name, link_id in links.items()} | {
            name: (keys.maker(purpose), b"") for name, purpose in own.items()
        }

    def _compiled_row(
        self, text: Template | None, html: Template | None, files: Mapping[str, bytes] | None
    ) -> Row:
        """All that follows the letter's own fields."""
        step = self._campaign.steps[self._step]
        attached = [] if files is None else [(file, files[file.id]) for file in step.attachments]
        body = mime.body(
            Part(text) if text else None,
            Part(html) if html else None,
            [entity(file, content) for file, content in attached if file.content_id],
            [entity(file, content) for file, content in attached if not file.content_id],
        )
        lengths = {
            name: len(make(_NO_DELIVERY + link)) for name, (make, link) in self._tokens.items()
        }
        return Row([*self._own_fields(), *body], lengths)

    def _own_fields(self) -> Iterator[bytes | Token]:
        if _DELIVERY in self._tokens:
            # By this a report is matched although somebody on the way has changed the Message-ID.
            yield from (f"{DELIVERY_FIELD}: ".encode(), Token(_DELIVERY), b"\r\n")
        # Never folded or encoded: RFC 8058 needs one plain address (RFC 2369).
        yield f"List-Unsubscribe: <{self._public_url}/u/".encode()
        yield Token(UNSUBSCRIBE)
        yield b">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n"


_Made = TypeVar("_Made")


def _compiled(field: str, make: Callable[[], _Made]) -> _Made:
    """What `make` makes; its errors name the field. Raises BadPart."""
    try:
        return make()
    except BadTemplate as error:
        raise BadPart(field, "bad_template", str(error)) from error
    except BadLink as error:
        raise BadPart(field, "bad_link", str(error)) from error


def _made_of(*parts: Template | None) -> frozenset[str]:
    """The fields that a mail cannot do without."""
    return frozenset().union(*(part.required for part in parts if part))


def _reply_to(letter: Letter, keys: TokenKeys) -> str:
    """The author's address with a token behind a +; "" where that would be too long."""
    local, _, domain = letter.author.address.rpartition("@")
    local = f"{local}+{keys.make(Purpose.REPLY, letter.delivery_id)}"
    fits = local.isascii() and len(local) <= _MAX_LOCAL_OCTETS and not local.startswith('"')
    return f"Reply-To: <{local}@{domain}>\r\n" if fits else ""


def for_transfer(filled: Filled) -> bytes:
    """What goes over the wire: dot-stuffed, with the final dot."""
    return filled.content + b".\r\n" if filled.dotless else dot_stuffed(filled.content)


def dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 §4.5.2: lines that start with a dot get one more; the final dot is added."""
    if content.startswith(b"."):
        content = b"." + content
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
