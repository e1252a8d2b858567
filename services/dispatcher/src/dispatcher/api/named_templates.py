"""Stored templates that a mail or a campaign's step names: found, and their texts taken over."""

from typing import TypeVar

from dispatcher.api.bodies import StepBody, VariantBody
from dispatcher.domain.message_templates import MessageTemplate
from dispatcher.store.templates import Templates
from postfleet.problems import FieldError, Problem, invalid

_Named = TypeVar("_Named", StepBody, VariantBody)


async def named(
    templates: Templates, id_: str, version: int | None, at: str = ""
) -> MessageTemplate:
    """The newest version, or the one that is asked for. Raises Problem (422); `at` is put before the
    field's name."""
    found = await templates.get(id_, version)
    if found is None and version and await templates.get(id_):
        message = "the template has no such version"
        raise invalid(f"{at}template_version", "unknown_version", message)
    if found is None:
        remedy = "there is no such template; GET /templates lists them"
        raise invalid(f"{at}template_id", "unknown_template", remedy)
    return found


async def with_texts(templates: Templates, steps: list[StepBody]) -> list[StepBody]:
    """The steps with the texts of the templates that they name, as those are now.

    Raises Problem (422) with every template that is unknown.
    """
    errors: list[FieldError] = []

    async def filled(body: _Named, at: str) -> _Named:
        try:
            return await _filled(templates, body, at)
        except Problem as problem:
            errors.extend(problem.errors)
            return body

    done = []
    for number, step in enumerate(steps):
        at = f"steps.{number}."
        variants = [
            await filled(one, f"{at}variants.{place}.") for place, one in enumerate(step.variants)
        ]
        whole = (await filled(step, at)).model_copy(update={"variants": variants})
        if whole.lacks_html and not errors:
            message = "an image with a content_id needs HTML, and the template has none"
            errors.append(FieldError(f"{at}attachments", "without_html", message))
        done.append(whole)
    if errors:
        raise Problem(422, "INVALID", f"{errors[0].field}: {errors[0].message}", errors)
    return done


async def _filled(templates: Templates, body: _Named, at: str) -> _Named:
    if body.template_id is None:
        return body
    texts = (await named(templates, body.template_id, body.template_version, at)).texts
    own = "subject" in body.model_fields_set
    return body.model_copy(
        update={
            "subject": body.subject if own else texts.subject,
            "body_text": texts.text,
            "body_html": texts.html,
            "template_id": None,
            "template_version": None,
        }
    )
