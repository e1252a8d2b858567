"""What `POST /messages` takes, checked field by field: every error is found, and named."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from dispatcher.api.templates import Data, TemplateId
from dispatcher.domain.attachments import BadAttachment, Enclosed, attachment, decoded
from dispatcher.domain.ledger import WARMUP
from dispatcher.domain.mail import CannotCompose, Parts, check_headers
from dispatcher.domain.message_templates import (
    MAX_SUBJECT,
    BadTexts,
    CompiledTexts,
    MessageTemplate,
    Texts,
)
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


class EnclosedBody(Strict):
    """A file that goes with the mail. `content` is base64 (RFC 4648 §4)."""

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content: str
    content_type: Annotated[str, Field(max_length=129)] = "application/octet-stream"


class MessageBody(Strict):
    """Texts, or a template that `data` fills (its newest version, or `template_version`).

    `fields` make `subject`, `text` and `html` Liquid templates; without them they are literal.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, serialize_by_alias=True
    )

    to: Annotated[
        list[str], BeforeValidator(_one_or_more), Field(min_length=1, max_length=MAX_RECIPIENTS)
    ]
    from_: Annotated[str, Field(alias="from", min_length=1, max_length=254)]
    subject: Annotated[str, Field(max_length=MAX_SUBJECT)] = ""
    text: Text = ""
    html: Text = ""
    fields: dict[Annotated[str, Field(max_length=100)], str] | None = Field(None, max_length=200)
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    attachments: Annotated[list[EnclosedBody], Field(max_length=20)] = Field(default_factory=list)
    category: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "transactional"
    send_at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    reply_to: Annotated[str | None, Field(max_length=254)] = None
    template_id: TemplateId | None = None
    template_version: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    data: Data = Field(default_factory=dict)

    def parts(
        self, sender: SenderSnapshot, max_bytes: int, template: MessageTemplate | None = None
    ) -> Parts:
        """`template` is the one that it names. Raises Problem (422) with every field that is wrong."""
        check = _Checks()
        self._check_addresses(check)
        check.run(lambda: check_headers(self.headers))
        if self.category == "campaign":
            check.add("category", "reserved", "mails of a campaign are sent by POST /campaigns")
        if self.category == WARMUP:
            check.add("category", "reserved", "warm-up mails are planned by warmup_mode alone")
        texts = self._texts(check) if template is None else self._of_template(template, check)
        attachments = [_attachment(n, body, check) for n, body in enumerate(self.attachments)]
        size = len(texts.text.encode()) + len(texts.html.encode())
        size += sum(len(one.content) for one in attachments if one)
        if size * 1.4 > max_bytes:  # base64 and quoted-printable
            check.add("attachments", "too_large", f"the mail would be over {max_bytes} bytes")
        check.raise_errors()
        return Parts(
            author=sender.email_address,
            display_name=sender.display_name,
            subject=texts.subject,
            text=texts.text,
            html=texts.html,
            reply_to=self.reply_to or "",
            headers=self.headers,
            attachments=[one for one in attachments if one],
        )

    def _check_addresses(self, check: "_Checks") -> None:
        for number, address in enumerate(self.to):
            check.address(f"to.{number}" if len(self.to) > 1 else "to", address)
        if len({address.lower() for address in self.to}) != len(self.to):
            check.add("to", "twice", "an address is there twice")
        if self.reply_to is not None:
            check.address("reply_to", self.reply_to)

    def _texts(self, check: "_Checks") -> Texts:
        for name in ("template_version", "data"):
            if getattr(self, name):
                check.add(name, "without_template", "it belongs to a template_id")
        if not self.subject.strip():
            check.add("subject", "missing", "give a subject, or a template_id")
        if not self.text.strip() and not self.html.strip():
            check.add("text", "missing", "give text, html, or both, or a template_id")
        texts = Texts(self.subject, self.text, self.html)
        if self.fields is not None:
            texts = check.filled(texts, self.fields)
        check.line("subject", texts.subject)
        return texts

    def _of_template(self, template: MessageTemplate, check: "_Checks") -> Texts:
        for name in ("subject", "text", "html", "fields"):
            if getattr(self, name):
                check.add(name, "with_template", "give either a template_id, or texts, not both")
        texts = check.filled(template.texts, self.data, known=True)
        check.line("data", texts.subject)
        return texts


def _attachment(number: int, body: EnclosedBody, check: "_Checks") -> Enclosed | None:
    try:
        content = decoded(body.content)
        return Enclosed(attachment(body.filename, body.content_type, content), content)
    except BadAttachment as error:
        code = "base64" if error.field == "content" else "invalid"
        check.add(f"attachments.{number}.{error.field}", code, error.reason)
        return None


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

    def filled(self, texts: Texts, data: Mapping[str, str], *, known: bool = False) -> Texts:
        """`known`: the data is a template's, and holds nothing that it does not ask for."""
        try:
            compiled = CompiledTexts(texts)
            if known:
                compiled.check(data)
            return compiled.fill(data)
        except BadTexts as error:
            for fault in error.faults:
                of_template = known and not fault.field.startswith("data.")
                where, about = ("data", f"{fault.field}: ") if of_template else (fault.field, "")
                self.add(where, fault.code, f"{about}{fault.message}")
            return Texts("")

    def line(self, field: str, text: str) -> None:
        try:
            check_text(text)
        except ValueError as error:
            self.add(field, "invalid", str(error))

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
