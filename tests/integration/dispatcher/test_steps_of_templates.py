"""A campaign's step may name a stored template: its texts are taken over when the step is written."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dispatcher import Dispatcher, DispatcherWorld, dispatcher_world
from tests.support.mongo import MongoServer

TEXTS = {"subject": "Hello {{ name }}", "text": "Hi {{ name }}", "html": "<p>Hi {{ name }}</p>"}
IMAGE = {
    "filename": "logo.png",
    "content_type": "image/png",
    "content": "iVBORw0KGgo=",
    "content_id": "logo",
}


@pytest.fixture
async def one(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[Dispatcher]:
    async with dispatcher_world(mongo_server, tmp_path) as world:
        yield await _started(world)


async def _started(world: DispatcherWorld) -> Dispatcher:
    made = world.dispatcher()
    await made.start()
    template = {"id": "welcome", "name": "Welcome", **TEXTS}
    await made.api("POST", "/templates", json=template)
    await made.api("PATCH", "/templates/welcome", json={"subject": "Hey {{ name }}"})
    plain = {"id": "plain", "name": "Plain", "subject": "Hi", "text": "Hi"}
    await made.api("POST", "/templates", json=plain)
    return made


def body(*steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "spring",
        "senders": ["s1"],
        "steps": list(steps),
        "postal_address": "1 Main St",
    }


async def test_a_step_and_a_variant_take_over_the_texts_as_they_are_now(one: Dispatcher) -> None:
    variants = [
        {"name": "A", "template_id": "welcome", "template_version": 1},
        {"name": "B", "subject": "Own", "body_text": "Own"},
    ]
    later = {"template_id": "welcome", "subject": "", "delay": "P3D"}
    made = await one.api("POST", "/campaigns", json=body({"variants": variants}, later))
    own = await one.api("POST", "/campaigns", json=body({"subject": "Own", "body_text": "Own"}))
    steps = {"steps": [{"template_id": "welcome"}]}
    changed = await one.api("PATCH", f"/campaigns/{own['id']}", json=steps)
    assert changed["steps"][0]["variants"][0]["subject"] == "Hey {{ name }}"
    await one.api("PATCH", "/templates/welcome", json={"text": "Changed"})
    assert (await one.http.delete("/templates/welcome")).status_code == 204
    shown = await one.api("GET", f"/campaigns/{made['id']}")
    first, second = (step["variants"] for step in shown["steps"])
    assert [(v["subject"], v["body_text"]) for v in first] == [
        ("Hello {{ name }}", "Hi {{ name }}"),
        ("Own", "Own"),
    ]
    assert [(v["subject"], v["body_html"]) for v in second] == [("", "<p>Hi {{ name }}</p>")]


REFUSED: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([{"template_id": "nobody"}], ["steps.0.template_id"]),
    ([{"template_id": "welcome", "template_version": 9}], ["steps.0.template_version"]),
    (
        [
            {"template_id": "welcome"},
            {
                "variants": [
                    {"name": "A", "template_id": "none"},
                    {"name": "B", "template_id": "no"},
                ]
            },
        ],
        ["steps.1.variants.0.template_id", "steps.1.variants.1.template_id"],
    ),
    ([{"template_id": "welcome", "body_text": "Own"}], ["steps.0"]),
    ([{"template_id": "welcome", "variants": [{"template_id": "welcome"}]}], ["steps.0"]),
    ([{"subject": "s", "body_text": "t", "template_version": 1}], ["steps.0"]),
    ([{"template_id": "welcome", "subject": ""}], ["steps"]),
    ([{"template_id": "plain", "attachments": [IMAGE]}], ["steps.0.attachments"]),
]


async def test_a_template_that_cannot_be_meant_is_refused_by_its_field(one: Dispatcher) -> None:
    for steps, fields in REFUSED:
        answer = await one.http.post("/campaigns", json=body(*steps))
        assert answer.status_code == 422, (steps, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == fields, steps
    assert (await one.api("GET", "/campaigns"))["items"] == []
