"""Whatever is said of a sender: it is refused with its field, or understood; nothing else happens."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from postfleet.addresses import check_text
from postfleet.problems import Problem
from sender_registry.domain.presets import PRESETS
from sender_registry.forms import NewSender, SenderFields, imap_server, new_profile, smtp_server
from sender_registry.request_form import NewRequest
from tests.unit.sender_registry.samples import NOW

LEAST: dict[str, Any] = {
    "email_address": "ann@one.test",
    "smtp_password": "pw",
    "smtp_host": "mail.one.test",
}
FIELDS = sorted(NewSender.model_fields)
TEXT = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def refused(value: dict[str, Any]) -> set[str]:
    """The fields that are complained of; empty where all is understood."""
    try:
        form = NewSender.model_validate(value)
        profile = new_profile(form, NOW)
        preset = PRESETS[profile.inbox_type]
        smtp_server(form, form.email_address, preset, None)
        imap_server(form, form.email_address, preset, None)
    except ValidationError as error:
        return {str(problem["loc"][0]) for problem in error.errors()}
    except Problem as problem:
        return {error.field for error in problem.errors if problem.status == 422}
    return set()


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_refused_by_name_or_understood(field: str, value: Any) -> None:
    others = {"imap_host", "smtp_host", "allowed_ips", "account_age_days"}  # what it would need
    assert refused({**LEAST, field: value}) <= {field, *others}


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["display_name", "name", "description"]), TEXT)
def test_what_gets_through_has_no_control_characters(field: str, value: str) -> None:
    try:
        form = SenderFields.model_validate({field: value})
    except ValidationError:
        return
    assert check_text(getattr(form, field)) == value
    assert not any(character in value for character in "\r\n\x00\x1b\x85\u2028")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [{"$ne": None}, {"$gt": ""}, [{"$where": "1"}]])
def test_operators_of_the_database_are_no_values(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        NewSender.model_validate({**LEAST, field: value})


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_sender_request_is_refused_by_its_field_or_understood(value: Any) -> None:
    fields = set()
    try:
        NewRequest.model_validate({"operation": "create", "account": value})
    except ValidationError as error:
        fields = {problem["loc"][0] for problem in error.errors()}
    assert fields == (set() if value is None or value == {} else {"account"})


@pytest.mark.parametrize("character", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
@pytest.mark.parametrize("field", ["display_name", "name", "description", "tags"])
def test_nothing_that_turns_the_direction_of_text_is_in_a_name(field: str, character: str) -> None:
    text = f"Ann{character}moc.knab@"
    assert refused({**LEAST, field: [text] if field == "tags" else text}) == {field}


@pytest.mark.parametrize("name", ["אן כהן", "آن", "Ann \u200e(CEO)"])
def test_a_name_may_be_written_from_right_to_left(name: str) -> None:
    assert refused({**LEAST, "display_name": name}) == set()


@pytest.mark.parametrize("field", ["domain", "prefix"])
def test_what_makes_an_internal_address_is_refused_beside_an_external_one(field: str) -> None:
    assert refused({**LEAST, field: "two.test"}) == {field}
    both = {"kind": "internal", "domain": "two.test", "prefix": "ann"}
    assert not {"domain", "prefix"} & refused(both)
