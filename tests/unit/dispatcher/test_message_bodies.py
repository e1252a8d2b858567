"""What POST /messages takes and refuses: every wrong field is named, at once."""

import base64
import email
import email.policy
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from dispatcher.api.message_bodies import MessageBody
from dispatcher.domain.mail import addressed, compose
from dispatcher.domain.message_templates import MessageTemplate, Texts
from postfleet.problems import Problem
from tests.unit.dispatcher.test_planning import sender

MAX_BYTES = 100_000


def body(**fields: Any) -> MessageBody:
    given = {"to": "a@people.test", "from": "s1", "subject": "Hello", "text": "Hi", **fields}
    return MessageBody.model_validate(given)


def attachment(**fields: Any) -> dict[str, Any]:
    return {"filename": "a.pdf", "content": "aGk=", **fields}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({"to": "no address"}, ["to"], id="one recipient"),
        pytest.param({"to": ["a@b.test", "c"]}, ["to.1"], id="the second recipient"),
        pytest.param({"to": ["a@b.test", "A@b.test"]}, ["to"], id="one twice"),
        pytest.param({"to": "a@b.test\r\nBcc: c@d.test"}, ["to"], id="a line end in an address"),
        pytest.param({"reply_to": "Ann <a@b.test>"}, ["reply_to"], id="a name in reply_to"),
        pytest.param({"text": " "}, ["text"], id="no body"),
        pytest.param({"subject": ""}, ["subject"], id="no subject"),
        pytest.param({"data": {"a": "b"}}, ["data"], id="data without a template"),
        pytest.param({"template_version": 2}, ["template_version"], id="a version of nothing"),
        pytest.param(
            {"fields": {}, "html": "<a href='javascript:x()'>x</a>"}, ["html"], id="a bad link"
        ),
        pytest.param({"subject": "a\r\nBcc: x@y.test"}, ["subject"], id="a line end in a subject"),
        pytest.param({"subject": "a\u2028b"}, ["subject"], id="a line separator"),
        pytest.param({"headers": {"From": "x@y.test"}}, ["headers.From"], id="our own field"),
        pytest.param({"headers": {"bcc": "x@y.test"}}, ["headers.bcc"], id="Bcc"),
        pytest.param({"headers": {"DKIM-Signature": "v"}}, ["headers.DKIM-Signature"], id="DKIM"),
        pytest.param({"headers": {"Content-Type": "x"}}, ["headers.Content-Type"], id="MIME"),
        pytest.param({"headers": {"X-A: b\r\nX": "c"}}, ["headers.X-A: b\r\nX"], id="in a name"),
        pytest.param({"headers": {"X-A": "b\r\nBcc: c"}}, ["headers.X-A"], id="in a value"),
        pytest.param({"headers": {"X-A": "b\0"}}, ["headers.X-A"], id="NUL in a value"),
        pytest.param({"headers": {"X-A": "1", "x-a": "2"}}, ["headers"], id="a field twice"),
        pytest.param({"category": "campaign"}, ["category"], id="campaigns are something else"),
        pytest.param(
            {"attachments": [attachment(content="?")]}, ["attachments.0.content"], id="no base64"
        ),
        pytest.param(
            {"attachments": [attachment(filename="../x")]},
            ["attachments.0.filename"],
            id="a path as file name",
        ),
        pytest.param(
            {"attachments": [attachment(content_type="text/html\r\nX: y")]},
            ["attachments.0.content_type"],
            id="a media type that is none",
        ),
        pytest.param(
            {"attachments": [attachment(content=base64.b64encode(bytes(80_000)).decode())]},
            ["attachments"],
            id="too large",
        ),
        pytest.param(
            {"fields": {}, "text": "{{ name }}"}, ["text"], id="a template's unknown field"
        ),
        pytest.param({"fields": {}, "text": "{% for x in y %}"}, ["text"], id="a loop"),
        pytest.param({"fields": {"a": "\n"}, "subject": "{{ a }}"}, ["subject"], id="in a field"),
        pytest.param(
            {"to": "x", "text": "", "reply_to": "y", "headers": {"To": "z"}},
            ["to", "reply_to", "headers.To", "text"],
            id="all of them at once",
        ),
    ],
)
def test_every_wrong_field_is_named(fields: dict[str, Any], wrong: list[str]) -> None:
    with pytest.raises(Problem) as refused:
        body(**fields).parts(sender(), MAX_BYTES)
    assert refused.value.status == 422
    assert [error.field for error in refused.value.errors] == wrong


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({"to": []}, "to", id="nobody"),
        pytest.param({"to": ["a@b.test"] * 51}, "to", id="51 recipients"),
        pytest.param({"send_at": "2026-12-01T10:00:00"}, "send_at", id="a time without zone"),
        pytest.param({"template_id": "A B"}, "template_id", id="an id that is none"),
        pytest.param({"data": {"a": 1}}, "data", id="a value that is no text"),
        pytest.param({"cc": "a@b.test"}, "cc", id="an unknown field"),
        pytest.param({"category": "A B"}, "category", id="a category that is no word"),
        pytest.param({"fields": {"a": 1}}, "fields", id="a field that is no text"),
        pytest.param({"attachments": [attachment(x=1)]}, "attachments", id="unknown, deeper"),
    ],
)
def test_wrong_shapes_are_named_too(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as refused:
        body(**fields)
    assert refused.value.errors()[0]["loc"][0] == wrong


def test_a_template_fills_each_place_by_its_own_rules() -> None:
    values = {"name": "Tom & <Ann>"}
    text = "Dear {{ name }}, {{ what | default: 'hello' }}"
    given = body(fields=values, subject="For {{ name }}", text=text, html="<p>{{ name }}</p>")
    parts = given.parts(sender(), MAX_BYTES)
    assert parts.subject == "For Tom & <Ann>"
    assert parts.text == "Dear Tom & <Ann>, hello"
    assert parts.html == "<p>Tom &amp; &lt;Ann&gt;</p>"
    literal = body(text="{{ name }}").parts(sender(), MAX_BYTES)
    assert literal.text == "{{ name }}"


WELCOME = MessageTemplate(
    "welcome",
    "Welcome",
    Texts(
        "Welcome {{ name }}",
        "Dear {{ name }} from {{ city | default: 'afar' }}",
        '<p title="{{ name }}">{{ name }}</p><a href="https://x.test/?q={{ name }}">Go</a>',
    ),
    version=3,
)


def of_template(**fields: Any) -> MessageBody:
    given = {"to": "a@people.test", "from": "s1", "template_id": "welcome", **fields}
    return MessageBody.model_validate(given)


def test_a_stored_template_is_filled_with_data_and_no_value_leaves_its_place() -> None:
    name = 'Tom" onload="x & <b>'
    parts = of_template(data={"name": name}).parts(sender(), MAX_BYTES, WELCOME)
    assert parts.subject == f"Welcome {name}"
    assert parts.text == f"Dear {name} from afar"
    assert parts.html == (
        '<p title="Tom&#34; onload=&#34;x &amp; &lt;b&gt;">Tom&#34; onload=&#34;x &amp; &lt;b&gt;</p>'
        '<a href="https://x.test/?q=Tom%22%20onload%3D%22x%20%26%20%3Cb%3E">Go</a>'
    )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({}, ["data.name"], id="a value is missing"),
        pytest.param(
            {"data": {"name": "A", "nmae": "B"}}, ["data.nmae"], id="one is not asked for"
        ),
        pytest.param({"data": {"nam": "A"}}, ["data.name", "data.nam"], id="one is misspelt"),
        pytest.param(
            {"data": {"name": "A\r\nBcc: x@y.test"}}, ["data"], id="a line end in a subject"
        ),
        pytest.param({"data": {"name": "A"}, "text": "Hi"}, ["text"], id="texts beside it"),
        pytest.param({"data": {"name": "A"}, "fields": {}}, [], id="no fields are none"),
        pytest.param(
            {"data": {"name": "A"}, "subject": "x", "fields": {"a": "b"}},
            ["subject", "fields"],
            id="a subject and fields beside it",
        ),
    ],
)
def test_what_a_template_is_not_filled_with_is_named(
    fields: dict[str, Any], wrong: list[str]
) -> None:
    if not wrong:
        assert of_template(**fields).parts(sender(), MAX_BYTES, WELCOME)
        return
    with pytest.raises(Problem) as refused:
        of_template(**fields).parts(sender(), MAX_BYTES, WELCOME)
    assert [error.field for error in refused.value.errors] == wrong


def test_what_is_composed_is_7_bit_in_short_lines_and_reads_the_same() -> None:
    files = [attachment(content=base64.b64encode(bytes(range(256))).decode(), filename='Ü "x".bin')]
    long = "Grüße " * 300 + "\n.\nFrom here\n"
    given = body(subject="Ü" * 200, text=long, html="<b>ü</b>", attachments=files)
    author = sender().model_copy(update={"display_name": 'Änn "the" Sender'})
    made = compose(given.parts(author, MAX_BYTES), datetime(2026, 11, 21, tzinfo=UTC))
    content = addressed(made, "<1@fleet.test>", "a@people.test")
    assert content.isascii()
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 78
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert not mail.defects
    assert mail["Subject"] == "Ü" * 200
    assert mail["From"].addresses[0].display_name == 'Änn "the" Sender'
    assert (mail["To"], mail["Message-ID"]) == ("a@people.test", "<1@fleet.test>")
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == long
    assert html.get_content().strip() == "<b>ü</b>"
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ('Ü "x".bin', bytes(range(256)))
