"""What `POST /messages` takes, checked field by field: every error is found, and named."""

import base64
import binascii
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from dispatcher.domain.ledger import WARMUP
from dispatcher.domain.mail import Attachment, CannotCompose, Parts, check_attachment, check_headers
from dispatcher.domain.templates import BadTemplate, template
from postfleet.addresses import InvalidAddress, check_text, split_address
from postfleet.events.senders import SenderSnapshot
from postfleet.http import Strict
from postfleet.problems import FieldError, Problem

MAX_RECIPIENTS = 50
HORIZON = timedelta(days=365)
_MAX_TEXT = 1024 * 1024

Text = Annotated[str, Field(max_length=_MAX_TEXT)]


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


class AttachmentBody(Strict):
    """`content` is base64 (RFC 4648 §4)."""

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content: str
    content_type: Annotated[str, Field(max_length=129)] = "application/octet-stream"


class MessageBody(Strict):
    """`fields` make `subject`, `text` and `html` Liquid templates; without them they are literal."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, serialize_by_alias=True
    )

    to: Annotated[
        list[str], BeforeValidator(_one_or_more), Field(min_length=1, max_length=MAX_RECIPIENTS)
    ]
    from_: Annotated[str, Field(alias="from", min_length=1, max_length=254)]
    subject: Annotated[str, Field(min_length=1, max_length=900)]
    text: Text = ""
    html: Text = ""
    fields: dict[Annotated[str, Field(max_length=100)], str] | None = Field(None, max_length=200)
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    attachments: Annotated[list[AttachmentBody], Field(max_length=20)] = Field(default_factory=list)
    category: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "transactional"
    send_at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    reply_to: Annotated[str | None, Field(max_length=254)] = None

    def parts(self, sender: SenderSnapshot, max_bytes: int) -> Parts:
        """Raises Problem (422) with every field that is wrong."""
        check = _Checks()
        self._check_addresses(check)
        check.run(lambda: check_headers(self.headers))
        if not self.text.strip() and not self.html.strip():
            check.add("text", "missing", "give text, html, or both")
        if self.category == "campaign":
            check.add("category", "reserved", "mails of a campaign are sent by POST /campaigns")
        if self.category == WARMUP:
            check.add("category", "reserved", "warm-up mails are planned by warmup_mode alone")
        subject, text, html = self._texts(check)
        attachments = [_attachment(n, body, check) for n, body in enumerate(self.attachments)]
        size = len(text.encode()) + len(html.encode()) + sum(len(a.content) for a in attachments)
        if size * 1.4 > max_bytes:  # base64 and quoted-printable
            check.add("attachments", "too_large", f"the mail would be over {max_bytes} bytes")
        check.raise_errors()
        return Parts(
            author=sender.email_address,
            display_name=sender.display_name,
            subject=subject,
            text=text,
            html=html,
            reply_to=self.reply_to or "",
            headers=self.headers,
            attachments=attachments,
        )

    def _check_addresses(self, check: "_Checks") -> None:
        for number, address in enumerate(self.to):
            check.address(f"to.{number}" if len(self.to) > 1 else "to", address)
        if len({address.lower() for address in self.to}) != len(self.to):
            check.add("to", "twice", "an address is there twice")
        if self.reply_to is not None:
            check.address("reply_to", self.reply_to)

    def _texts(self, check: "_Checks") -> tuple[str, str, str]:
        if self.fields is None:
            texts = {"subject": self.subject, "text": self.text, "html": self.html}
        else:
            texts = {
                name: check.rendered(name, source, self.fields)
                for name, source in (
                    ("subject", self.subject),
                    ("text", self.text),
                    ("html", self.html),
                )
            }
        try:
            check_text(texts["subject"])
        except ValueError as error:
            check.add("subject", "invalid", str(error))
        return texts["subject"], texts["text"], texts["html"]


def _attachment(number: int, body: AttachmentBody, check: "_Checks") -> Attachment:
    where = f"attachments.{number}"
    try:
        content = base64.b64decode(body.content, validate=True)
    except (binascii.Error, ValueError):
        check.add(f"{where}.content", "base64", "not base64 (RFC 4648 §4)")
        content = b""
    made = Attachment(body.filename, body.content_type.lower(), content)
    check.run(lambda: check_attachment(made, where))
    return made


class _Checks:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def add(self, field: str, code: str, message: str) -> None:
        self._errors.append(FieldError(field, code, message))

    def address(self, field: str, address: str) -> None:
        try:
            split_address(address)
        except InvalidAddress as error:
            self.add(field, "invalid_address", str(error))

    def rendered(self, field: str, source: str, values: dict[str, str]) -> str:
        try:
            return template(source, html=field == "html").render(values) if source else ""
        except BadTemplate as error:
            self.add(field, "template", str(error))
            return ""

    def run(self, check: Callable[[], None]) -> None:
        try:
            check()
        except CannotCompose as error:
            self.add(error.field, "invalid", str(error))

    def raise_errors(self) -> None:
        """Raises Problem (422) if there was an error."""
        if self._errors:
            first = self._errors[0]
            raise Problem(422, "INVALID", f"{first.field}: {first.message}", self._errors)
