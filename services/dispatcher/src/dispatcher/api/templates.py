"""Templates of mails of their own: kept, changed as new versions, shown with data."""

import uuid
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from dispatcher.domain.message_templates import (
    MAX_SUBJECT,
    BadTexts,
    CompiledTexts,
    MessageTemplate,
    Texts,
)
from dispatcher.store.templates import Templates
from postfleet.addresses import check_text
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, decode_cursor, page
from postfleet.instants import now_ms, rfc3339
from postfleet.problems import FieldError, Problem, not_found

#: Begins with a letter, so that nothing takes it for a number or a date.
TemplateId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Data = Annotated[
    dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=100_000)]],
    Field(max_length=200),
]
_Subject = Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT), AfterValidator(check_text)]
_Text = Annotated[str, Field(max_length=256 * 1024)]
_Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_text)]


class TemplateBody(Strict):
    """Liquid texts. Without an `id` one is made."""

    id: TemplateId | None = None
    name: _Name
    subject: _Subject
    text: _Text = ""
    html: _Text = ""

    @model_validator(mode="after")
    def _has_body(self) -> "TemplateBody":
        if not self.text.strip() and not self.html.strip():
            raise ValueError("give text, html, or both")
        return self


class TemplatePatch(Strict):
    """Fields that are left out stay."""

    name: _Name | None = None
    subject: _Subject | None = None
    text: _Text | None = None
    html: _Text | None = None


class PreviewBody(Strict):
    data: Data = Field(default_factory=dict)


def build_templates(templates: Templates) -> APIRouter:
    router = APIRouter(prefix=f"{API}/templates", tags=["templates"])

    async def find(template_id: str, version: int | None = None) -> MessageTemplate:
        found = await templates.get(template_id, version)
        if found is None:
            raise not_found("template", template_id)
        return found

    @router.post("", status_code=201, dependencies=[require(Scope.SEND)])
    async def create(body: TemplateBody) -> dict[str, Any]:
        """Keep a template; its texts are checked now. 409 if the id is taken."""
        moment = now_ms()
        texts = Texts(body.subject, body.text, body.html)
        id_ = body.id or f"t{uuid.uuid4().hex}"
        made = MessageTemplate(id_, body.name, texts, 1, moment, moment)
        _checked(made)
        if not await templates.insert(made):
            raise Problem(409, "EXISTS", f"there is a template {id_}; PATCH changes it")
        return shown(made)

    @router.get("", dependencies=[require(Scope.READ)])
    async def list_all(
        limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        """The newest version of each, in the order of their ids."""
        after = decode_cursor(cursor) if cursor else None
        return page([shown(one) for one in await templates.page(after, limit + 1)], limit)

    @router.get("/{template_id}", dependencies=[require(Scope.READ)])
    async def show(
        template_id: str, version: int | None = Query(None, ge=1, le=1_000_000)
    ) -> dict[str, Any]:
        """With the `fields` that its texts name, and those of them that are `required`."""
        return shown(await find(template_id, version))

    @router.get("/{template_id}/versions", dependencies=[require(Scope.READ)])
    async def versions(template_id: str) -> dict[str, Any]:
        """The newest first."""
        found = await templates.versions(await find(template_id))
        return {"items": [shown(one) for one in found], "next_cursor": None}

    @router.patch("/{template_id}", dependencies=[require(Scope.SEND)])
    async def change(template_id: str, body: TemplatePatch) -> dict[str, Any]:
        """Make the next version; mails may still name an older one. Nothing new makes none."""
        before = await find(template_id)
        given = body.model_dump(exclude_none=True)
        name = given.pop("name", before.name)
        after = replace(before, name=name, texts=replace(before.texts, **given))
        if after == before:
            return shown(before)
        if not after.texts.text.strip() and not after.texts.html.strip():
            raise _refused([("text", "missing", "give text, html, or both")])
        after = replace(after, version=before.version + 1, at=now_ms())
        _checked(after)
        if not await templates.change(before, after):
            raise Problem(409, "CONFLICT", "somebody changed it at the same time; try again")
        return shown(after)

    @router.delete("/{template_id}", status_code=204, dependencies=[require(Scope.SEND)])
    async def delete(template_id: str) -> Response:
        """All of its versions. Mails that were taken in keep their texts."""
        if not await templates.delete(template_id):
            raise not_found("template", template_id)
        return Response(status_code=204)

    @router.post("/{template_id}/preview", dependencies=[require(Scope.READ)])
    async def preview(
        template_id: str,
        body: PreviewBody,
        version: int | None = Query(None, ge=1, le=1_000_000),
    ) -> dict[str, Any]:
        """The texts as a mail with this data would have them."""
        found = await find(template_id, version)
        filled = filled_with(found, body.data)
        return {"id": found.id, "version": found.version, **_texts(filled)}

    return router


def filled_with(found: MessageTemplate, data: dict[str, str]) -> Texts:
    """Raises Problem (422) naming each value that is missing, unknown, or cannot stand where it would."""
    compiled = _checked(found)
    try:
        compiled.check(data)
        filled = compiled.fill(data)
        check_text(filled.subject)
    except BadTexts as error:
        raise _refused([(f.field, f.code, f.message) for f in error.faults]) from error
    except ValueError as error:
        raise _refused([("data", "invalid", f"the subject: {error}")]) from error
    return filled


def _checked(one: MessageTemplate) -> CompiledTexts:
    """Raises Problem (422) for texts that can never be filled."""
    try:
        return CompiledTexts(one.texts)
    except BadTexts as error:
        raise _refused([(f.field, f.code, f.message) for f in error.faults]) from error


def shown(one: MessageTemplate) -> dict[str, Any]:
    compiled = CompiledTexts(one.texts)
    return {
        "id": one.id,
        "name": one.name,
        "version": one.version,
        **_texts(one.texts),
        "fields": sorted(compiled.fields),
        "required": sorted(compiled.required),
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.at),
    }


def _texts(texts: Texts) -> dict[str, str]:
    return {"subject": texts.subject, "text": texts.text, "html": texts.html}


def _refused(errors: list[tuple[str, str, str]]) -> Problem:
    first = errors[0]
    return Problem(422, "INVALID", f"{first[0]}: {first[2]}", [FieldError(*e) for e in errors])
