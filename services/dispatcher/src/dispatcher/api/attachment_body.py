"""A file of a step, as callers send it: its content once, later only its id."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, model_validator

from dispatcher.domain.attachments import (
    Attachment,
    BadAttachment,
    attachment,
    check_together,
    decoded,
)
from dispatcher.domain.campaigns import Campaign
from dispatcher.store.attachments import Attachments
from postfleet.http import Strict
from postfleet.problems import invalid

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AttachmentBody(Strict):
    """Give `content` (base64, RFC 4648 §4), or the `id` of a content that was given before.

    With a `content_id` it is an image in the HTML part: `<img src="cid:…">`.
    """

    filename: Annotated[str, Field(min_length=1, max_length=200)]
    content_type: Annotated[str, Field(max_length=129)]
    content: Annotated[str | None, Field(max_length=12 * 1024 * 1024)] = None
    content_id: Annotated[str, Field(max_length=100)] = ""
    id: _Sha256 | None = None
    size_bytes: Annotated[int, Field(ge=0, lt=2**53)] | None = (
        None  # as we show it; the content decides
    )

    @model_validator(mode="after")
    def _valid(self) -> "AttachmentBody":
        if (self.content is None) == (self.id is None):
            raise ValueError("give either content, or the id of a content that we have")
        self.domain()
        return self

    def octets(self) -> bytes:
        return decoded(self.content) if self.content is not None else b""

    def domain(self) -> Attachment:
        """Without its content, its size is 0 until the store is asked."""
        return attachment(
            self.filename, self.content_type, self.octets(), self.content_id, id_=self.id or ""
        )

    def given(self) -> Iterator[tuple[str, bytes]]:
        if self.content is not None:
            yield self.domain().id, self.octets()


async def keep_files(
    store: Attachments, given: Sequence[Sequence[AttachmentBody]], campaign: Campaign
) -> Campaign:
    """Store the contents that came with the steps; the campaign with every file's size.

    Raises Problem (422) for an id that names no content of ours, and for steps that are too large.
    """
    await store.put(content for files in given for file in files for _, content in file.given())
    sizes = await store.sizes(file.id for step in campaign.steps for file in step.attachments)
    steps = []
    for number, step in enumerate(campaign.steps):
        for place, file in enumerate(step.attachments):
            if file.id not in sizes:
                field = f"steps.{number}.attachments.{place}.id"
                raise invalid(field, "unknown", "we have no such content; send it once more")
        files = tuple(replace(file, size_bytes=sizes[file.id]) for file in step.attachments)
        try:
            check_together(files)
        except BadAttachment as error:
            raise invalid(f"steps.{number}.attachments", "too_large", str(error)) from error
        steps.append(replace(step, attachments=files))
    return replace(campaign, steps=tuple(steps))
