"""What the documentation says about events is what the code does, for people and for machines."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from postfleet.events import EVENTS
from postfleet.topology import DURABLES, SERVICES, STREAMS
from tests.contract import golden

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ASYNCAPI = json.loads((DOCS / "asyncapi.json").read_text())


def _generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "docs/generate.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_committed_documents_are_what_the_code_says() -> None:
    result = _generate("--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_document_that_is_out_of_date_is_named_with_the_remedy() -> None:
    schema = DOCS / "schemas" / "stray.event.json"
    schema.write_text("{}")
    try:
        result = _generate("--check")
    finally:
        schema.unlink()
    assert result.returncode == 1
    assert "docs/schemas/stray.event.json" in result.stderr
    assert "python docs/generate.py --write" in result.stderr


def test_the_page_names_every_event_durable_stream_and_speaker() -> None:
    page = (DOCS / "events.md").read_text()
    assert all(f"### {subject}\n" in page for subject in EVENTS)
    assert all(f"| `{durable.name}` | {durable.service} |" in page for durable in DURABLES)
    assert all(f"| `{stream.name}` |" in page for stream in STREAMS)
    assert all(f"`{service.name}`" in page for service in SERVICES)


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_the_golden_bytes_are_valid_under_the_published_schema(subject: str) -> None:
    schema = json.loads((DOCS / "schemas" / f"{subject}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    body = json.loads(golden.goldens(subject)[-1].read_bytes())
    assert not list(validator.iter_errors(body))
    assert list(validator.iter_errors({})), "an empty body is no event"


# -- AsyncAPI 3.0 --------------------------------------------------------------------------------


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolve(reference: str) -> Any:
    found: Any = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_asyncapi_is_a_document_that_faststream_reads() -> None:
    read = ApplicationSchema.model_validate(ASYNCAPI)
    assert read.asyncapi == "3.0.0"
    assert set(read.channels) == set(EVENTS)


def test_every_reference_in_asyncapi_leads_somewhere() -> None:
    references = set(_references(ASYNCAPI))
    assert len(references) > 2 * len(EVENTS)
    assert all(isinstance(_resolve(reference), dict) for reference in references)


def test_asyncapi_has_a_channel_for_each_subject_with_its_one_message() -> None:
    addresses = [channel["address"] for channel in ASYNCAPI["channels"].values()]
    assert sorted(addresses) == sorted(EVENTS)
    for subject, channel in ASYNCAPI["channels"].items():
        (message,) = (_resolve(m["$ref"]) for m in channel["messages"].values())
        assert message["name"] == subject
        assert _resolve(message["payload"]["$ref"])["title"] == EVENTS[subject].__name__


def test_asyncapi_tells_who_says_and_who_hears_each_event() -> None:
    said = {
        (operation["action"], operation["channel"]["$ref"].removeprefix("#/channels/"), name)
        for name, operation in ASYNCAPI["operations"].items()
    }
    speaks = {("send", s, f"{v.name}.says.{s}") for v in SERVICES for s in v.says}
    on_events = [durable for durable in DURABLES if durable.stream == "EVENTS"]
    hears = {("receive", s, f"{d.name}.hears.{s}") for d in on_events for s in d.subjects}
    assert said == speaks | hears


def test_the_messages_of_an_operation_are_messages_of_its_channel() -> None:
    for operation in ASYNCAPI["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["messages"]
        assert all(m["$ref"].startswith(f"{channel}/messages/") for m in operation["messages"])


def test_the_names_in_asyncapi_are_such_as_the_specification_allows() -> None:
    names = [name for kind in ASYNCAPI["components"].values() for name in kind]
    assert names
    assert all(re.fullmatch(r"[A-Za-z0-9.\-_]+", name) for name in names)


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_golden_headers_are_valid_under_asyncapi(subject: str) -> None:
    schema = ASYNCAPI["components"]["schemas"]["CloudEventHeaders"]
    headers = json.loads(golden.HEADERS.read_text())[subject]
    assert not list(jsonschema.Draft202012Validator(schema).iter_errors(headers))
    assert set(headers) == set(schema["required"])
    assert set(schema["properties"]) - set(headers) == {"traceparent"}, "only while tracing is on"
