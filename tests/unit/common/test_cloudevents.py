"""The envelope of events on NATS, and the reasons for which a message is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.cloudevents import (
    MAX_BODY_BYTES,
    Announcement,
    Unreadable,
    aggregate_of,
    derived_id,
    parse,
)
from postfleet.events.deliveries import EmailSent, RecipientSuppressed
from tests.support.eventsamples import sample

BODY = json.loads(Announcement(sample(EmailSent)).body())


def _body(**changes: object) -> bytes:
    return json.dumps({**BODY, **changes}).encode()


def test_headers_are_those_of_the_contract() -> None:
    said = Announcement(sample(EmailSent), "id-1")
    assert said.headers("dispatcher") == {
        "Nats-Msg-Id": "id-1",
        "ce-specversion": "1.0",
        "ce-id": "id-1",
        "ce-type": "email.sent",
        "ce-source": "/dispatcher",
        "ce-time": "2026-11-21T15:04:05.678Z",
        "ce-subject": "5f0c2e9d7a41b3c86e1f2a3b4c5d6e7f",
        "content-type": "application/json",
    }


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        pytest.param("bob@two.test", "bob@two.test", id="an address stays readable"),
        pytest.param('"a b"@x.test', "%22a%20b%22@x.test", id="quotes and spaces are encoded"),
        pytest.param("50%@x.test", "50%25@x.test", id="a percent sign is encoded"),
        pytest.param("josé@x.test", "jos%C3%A9@x.test", id="other alphabets are encoded as UTF-8"),
        pytest.param("a\r\nb: c", "a%0D%0Ab:%20c", id="a line end cannot add a header"),
    ],
)
def test_the_aggregate_is_percent_encoded_in_its_header(value: str, encoded: str) -> None:
    event = sample(RecipientSuppressed, recipient=value)
    headers = Announcement(event).headers("dispatcher")
    assert headers["ce-subject"] == encoded
    assert aggregate_of(headers) == value


@given(st.text())
def test_any_aggregate_survives_its_header(value: str) -> None:
    headers = Announcement(sample(RecipientSuppressed, recipient=value)).headers("dispatcher")
    assert all(0x21 <= ord(character) < 0x7F for character in headers["ce-subject"])
    assert aggregate_of(headers) == value


def test_what_was_said_is_what_is_read() -> None:
    event = sample(EmailSent)
    said = Announcement(event)
    assert parse(said.subject, said.headers("dispatcher"), said.body()) == event


def test_fields_without_a_value_are_not_written() -> None:
    said = Announcement(sample(EmailSent, campaign_id=None, step=None))
    assert b"campaign_id" not in said.body()
    assert b"null" not in said.body()


def test_a_body_that_somebody_else_wrote_is_said_as_it_is() -> None:
    """An older relay must not drop the fields of a newer writer."""
    raw = _body(of_tomorrow=1)
    assert Announcement(sample(EmailSent), "id-1", raw).body() == raw


@pytest.mark.parametrize(
    ("subject", "headers", "body", "reason"),
    [
        pytest.param("email.sent", {}, b"", "email.sent: body: Invalid JSON", id="an empty body"),
        pytest.param("email.sent", {}, b"hello", "email.sent: body: Invalid JSON", id="not JSON"),
        pytest.param("email.sent", {}, b"\xff\xfe", "email.sent: body: Invalid JSON", id="not UTF-8"),
        pytest.param("email.sent", {}, b"[1]", "email.sent: body: Input should be", id="a JSON list"),
        pytest.param(
            "email.sent", {}, b'{"occurred_at":"2026-11-21T15:00:00Z"}',
            "email.sent: delivery_id: Field required", id="a field is missing",
        ),
        pytest.param(
            "email.sent", {}, _body(step="two"), "email.sent: step: Input should be a valid integer",
            id="a field has another type",
        ),
        pytest.param(
            "email.sent", {}, _body(occurred_at="yesterday"), "email.sent: occurred_at: Input should",
            id="a time is none",
        ),
        pytest.param(
            "email.sent", {}, _body(text="x" * 2_000_000),
            f"more than {MAX_BODY_BYTES}", id="2 MB",
        ),
        pytest.param("email.lost", {}, _body(), "unknown event type 'email.lost'", id="unknown type"),
        pytest.param(
            "email.sent", {"ce-type": "email.failed"}, _body(),
            "an event of type 'email.failed' on the subject 'email.sent'",
            id="a type that is not the subject's",
        ),
    ],
)  # fmt: skip
def test_a_message_that_is_no_event_is_refused_with_a_readable_reason(
    subject: str, headers: dict[str, str], body: bytes, reason: str
) -> None:
    with pytest.raises(Unreadable) as refusal:
        parse(subject, headers, body)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "http" not in str(refusal.value), "no links to a library's site"


def test_the_reason_does_not_repeat_the_value() -> None:
    with pytest.raises(Unreadable) as refusal:
        parse("email.sent", {}, _body(step="secret-value"))
    assert "secret-value" not in str(refusal.value)


def test_a_body_of_exactly_the_limit_is_read() -> None:
    padding = MAX_BODY_BYTES - len(_body(text=""))
    assert parse("email.sent", {}, _body(text="x" * padding)) == sample(EmailSent)
    with pytest.raises(Unreadable, match="more than"):
        parse("email.sent", {}, _body(text="x" * (padding + 1)))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^email\.sent: "):
        parse("email.sent", {}, body)


def test_an_id_follows_from_its_cause() -> None:
    assert derived_id("d1", 2) == derived_id("d1", "2") == "d99411adb55d60cf026d3bcddf013611"
    assert derived_id("a", "bc") != derived_id("ab", "c")
    assert derived_id("d1", 1) != derived_id("d1", 2)
