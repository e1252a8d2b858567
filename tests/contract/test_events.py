"""What was ever said on the bus can still be read: fields are added, never renamed or retyped."""

import json
from typing import Any

import pytest

from postfleet.cloudevents import Announcement, Unreadable, parse
from postfleet.events import EVENTS
from tests.contract import golden
from tests.support.eventsamples import MOMENT, announcement

FILES = [
    pytest.param(subject, file, id=f"{file.parent.name} {subject}")
    for subject in sorted(EVENTS)
    for file in golden.goldens(subject)
]


def test_every_event_has_a_golden_file_with_all_its_fields() -> None:
    missing = golden.missing()
    assert not missing, "run: python -m tests.contract.golden --write"


def test_no_event_that_was_ever_said_has_lost_its_class() -> None:
    said = {file.stem for folder in golden.versions() for file in folder.glob("*.json")}
    assert said
    assert said <= set(EVENTS), "a subject stays readable; a changed meaning is a new event"


@pytest.mark.parametrize(("subject", "file"), FILES)
def test_old_bytes_parse_and_say_the_same_again(subject: str, file: Any) -> None:
    old = file.read_bytes()
    event = parse(subject, {"ce-type": subject}, old)
    again = json.loads(Announcement(event).body())
    assert type(event) is EVENTS[subject]
    assert _without_additions(again, json.loads(old)) == json.loads(old)


def _without_additions(new: Any, old: Any) -> Any:
    """The new form, with only the fields of the old one."""
    if not isinstance(old, dict):
        return new
    return {key: _without_additions(new[key], value) for key, value in old.items() if key in new}


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_a_field_of_a_newer_writer_is_ignored(subject: str) -> None:
    file = golden.goldens(subject)[-1]
    newer = {**json.loads(file.read_bytes()), "field_of_tomorrow": {"deep": [1, 2]}}
    old, new = (
        parse(subject, {}, data) for data in (file.read_bytes(), json.dumps(newer).encode())
    )
    assert new == old


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_the_first_form_without_its_optional_fields_still_parses(subject: str) -> None:
    """A field that became required would refuse what was written before it existed."""
    first = json.loads(golden.goldens(subject)[0].read_bytes())
    required = _always_there(subject)
    least = {name: value for name, value in first.items() if name in required}
    assert parse(subject, {}, json.dumps(least).encode()).subject == subject


def _always_there(subject: str) -> set[str]:
    fields = EVENTS[subject].model_fields.items()
    return {field.alias or name for name, field in fields if field.is_required()}


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_an_event_without_a_required_field_is_unreadable(subject: str) -> None:
    body = json.loads(golden.goldens(subject)[-1].read_bytes())
    for name in _always_there(subject):
        fewer = json.dumps({key: value for key, value in body.items() if key != name}).encode()
        with pytest.raises(Unreadable, match=f"{subject}: {name}"):
            parse(subject, {}, fewer)


def test_the_headers_on_nats_are_cloudevents_in_binary_mode_as_they_always_were() -> None:
    then = json.loads(golden.HEADERS.read_text())
    assert golden.headers() == then


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_headers_and_body_agree(subject: str) -> None:
    said = announcement(EVENTS[subject])
    headers, body = said.headers(EVENTS[subject].source), json.loads(said.body())
    assert headers["ce-type"] == said.subject == subject
    assert headers["ce-id"] == headers["Nats-Msg-Id"] == said.id
    assert headers["ce-time"] == "2026-11-21T15:04:05.678Z"
    assert headers["content-type"] == "application/json"
    assert MOMENT.isoformat().startswith(body["occurred_at"][:19])
    assert not {"ce-id", "id", "type", "source"} & set(body), "the envelope stays out of the body"
