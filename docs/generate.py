"""Writes what the documentation says about events and sizes from the code and its bench.

python docs/generate.py --write    docs/events.md, docs/schemas/*.json, docs/asyncapi.json, and the
                                   sizing table of docs/operations.md from the last bench
python docs/generate.py --check    says which of them are not what the code says, and exits 1
"""

import inspect
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import sizing
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from postfleet.events import EVENTS
from postfleet.events.event import Event
from postfleet.events.senders import MailServer, SenderSnapshot
from postfleet.topology import DURABLES, EVENT_STREAM, MAX_DELIVERIES, SERVICES, STREAMS

DOCS = Path(__file__).parent
SERVED = DOCS.parent / "libs/cli/src/postfleet_cli/asyncapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

HEADERS = {
    "Nats-Msg-Id": "The same as `ce-id`: JetStream stores an id once",
    "ce-specversion": "Always `1.0`",
    "ce-id": "The event's id. Derived from its cause: the same fact has the same id, said twice or not",
    "ce-type": "The subject, such as `email.sent`",
    "ce-source": "The service that says it, such as `/dispatcher`",
    "ce-time": "When it happened: `occurred_at` in RFC 3339, UTC, milliseconds",
    "ce-subject": "The id of what changed, percent-encoded: see the aggregate of each event",
    "content-type": "Always `application/json`",
    "traceparent": "W3C trace context; only while tracing is on. One trace for each delivery",
}

INTRODUCTION = f"""\
# Events

Written by `python docs/generate.py --write` from `postfleet.events` and `postfleet.topology`; change
it there. CI compares.

An event is a fact in the past tense. It is one message on the JetStream stream
`{EVENT_STREAM.name}`, kept for {EVENT_STREAM.max_age.days if EVENT_STREAM.max_age else 0} days: \
CloudEvents 1.0 in binary mode, the body is the event's own fields as
JSON. A new subscriber makes a durable of its own and can read all that is kept.

What a reader may rely on:

- **At least once.** An event may come again, with the same `ce-id`: apply an id once.
- **Fields are only added.** A reader ignores fields that it does not know; a changed meaning is a
  new event. `tests/contract/events/` keeps the bytes of every form there was.
- **A field without a value is absent**, not `null`; the tables name the default that holds then.
- **{MAX_DELIVERIES} deliveries**, with growing delays, then an event goes to the stream `DEAD_LETTERS` with
  the reason; at once if it cannot be parsed.

The same for machines: [asyncapi.json](asyncapi.json) (AsyncAPI 3.0) and a JSON Schema for each
event in [schemas/](schemas/).

When the topology changes, the permissions on NATS follow it:
`python deploy/nats/render.py --write`, then `postfleet bus apply`.
"""


# -- what the code says --------------------------------------------------------------------------


def doc(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").split())


def family(cls: type[Event]) -> list[str]:
    """What the classes between this one and Event say, nearest first."""
    return [doc(c) for c in cls.__mro__[1:] if issubclass(c, Event) and c is not Event]


def speakers(subject: str) -> list[str]:
    return [service.name for service in SERVICES if subject in service.says]


def listeners(subject: str) -> list[str]:
    return [d.name for d in DURABLES if d.stream == EVENT_STREAM.name and subject in d.subjects]


def schema_of(cls: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": DIALECT, **cls.model_json_schema(by_alias=True)}


# -- docs/events.md ------------------------------------------------------------------------------


def markdown() -> str:
    return "\n".join([INTRODUCTION, *_headers(), *_overview(), *_every_event(), *_streams()])


def _table(*rows: tuple[str, ...]) -> Iterator[str]:
    head, *body = rows
    for row in (head, ("---",) * len(head), *body):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _codes(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nobody of ours"


def _headers() -> Iterator[str]:
    yield "## Headers\n"
    yield from _table(("header", "value"), *((f"`{h}`", text) for h, text in HEADERS.items()))


def _overview() -> Iterator[str]:
    yield "## All events\n"
    rows = [
        (f"[`{s}`](#{_anchor(s)})", ", ".join(speakers(s)), doc(cls)) for s, cls in _by_subject()
    ]
    yield from _table(("subject", "said by", "what a reader may rely on"), *rows)


def _by_subject() -> list[tuple[str, type[Event]]]:
    return sorted(EVENTS.items())


def _anchor(subject: str) -> str:
    return subject.replace(".", "")


def _every_event() -> Iterator[str]:
    for subject, cls in _by_subject():
        yield f"### {subject}\n"
        yield f"`{cls.__name__}`. {doc(cls)}\n"
        yield from (f"{text}\n" for text in family(cls))
        yield f"- Said by: {_codes(speakers(subject))}"
        yield f"- Heard by: {_codes(listeners(subject))}"
        yield f"- Aggregate (`ce-subject`): `{cls.aggregate}`"
        yield f"- [JSON Schema](schemas/{subject}.json)\n"
        yield from _fields(cls)
    yield "### Values inside events\n"
    for model in (SenderSnapshot, MailServer):
        yield f"#### {model.__name__}\n"
        yield f"{doc(model)}\n"
        yield from _fields(model)


def _fields(cls: type[BaseModel]) -> Iterator[str]:
    schema = cls.model_json_schema(by_alias=True)
    required = set(schema.get("required", ()))
    rows = [
        (f"`{name}`", _type(field), "required" if name in required else _default(field))
        for name, field in schema["properties"].items()
    ]
    yield from _table(("field", "type", "default"), *rows)


def _type(field: dict[str, Any]) -> str:
    """A type as a reader of JSON sees it."""
    if "anyOf" in field:
        return " or ".join(_type(kind) for kind in field["anyOf"] if kind != {"type": "null"})
    if "$ref" in field:
        return _named(str(field["$ref"].rpartition("/")[2]))
    if "enum" in field or "const" in field:
        return " or ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if field["type"] == "object":
        return f"map of string to {_type(field['additionalProperties'])}"
    limits = [f"{field[k]}" for k in ("minimum", "maximum") if k in field]
    return " ".join(
        [field.get("format") or field["type"], *([" to ".join(limits)] if limits else [])]
    )


def _named(name: str) -> str:
    """A value's name, or the words of an enum."""
    if name in (SenderSnapshot.__name__, MailServer.__name__):
        return f"[{name}](#{name.lower()})"
    schemas = (schema_of(cls).get("$defs", {}) for cls in EVENTS.values())
    found = next(defs[name] for defs in schemas if name in defs)
    return _type(found)


def _default(field: dict[str, Any]) -> str:
    value = field.get("default", {})  # a default factory, as of an empty map, is not in the schema
    return "absent" if value is None else f"`{json.dumps(value)}`"


def _streams() -> Iterator[str]:
    yield "## Streams\n"
    rows = [
        (
            f"`{stream.name}`",
            _codes(stream.subjects),
            _span(stream.max_age) if stream.max_age else "until consumed",
            _span(stream.duplicate_window),
            stream.description,
        )
        for stream in STREAMS
    ]
    head = ("stream", "subjects", "kept", "an id is stored once within", "holds")
    yield from _table(head, *rows)
    yield "On disk, `discard: new`: a full stream refuses what comes, and loses nothing that it has.\n"
    yield "## Durable consumers\n"
    rows = [
        (
            f"`{durable.name}`",
            durable.service,
            f"`{durable.stream}`",
            _span(durable.ack_wait),
            str(durable.max_ack_pending),
            "every event" if set(durable.subjects) == set(EVENTS) else _codes(durable.subjects),
        )
        for durable in DURABLES
    ]
    head = ("durable", "service", "stream", "ack_wait", "max_ack_pending", "hears")
    yield from _table(head, *rows)


def _span(span: timedelta) -> str:
    if span.days:
        return f"{span.days} days"
    minutes, seconds = divmod(span.seconds, 60)
    return f"{minutes} min" if minutes and not seconds else f"{span.seconds} s"


# -- docs/asyncapi.json --------------------------------------------------------------------------


def asyncapi() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(cls, "validation") for _, cls in _by_subject()],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Postfleet events",
            "version": "1",
            "description": "Every event of the platform, on the JetStream stream "
            f"`{EVENT_STREAM.name}`: CloudEvents 1.0 in binary mode.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {subject: _channel(subject, cls) for subject, cls in _by_subject()},
        "operations": dict(_operations()),
        "components": {
            "schemas": {**definitions["$defs"], "CloudEventHeaders": _header_schema()},
            "messages": {cls.__name__: _message(subject, cls) for subject, cls in _by_subject()},
        },
    }


def _channel(subject: str, cls: type[Event]) -> dict[str, Any]:
    return {
        "address": subject,
        "description": doc(cls),
        "messages": {cls.__name__: {"$ref": f"#/components/messages/{cls.__name__}"}},
        "x-stream": EVENT_STREAM.name,
    }


def _message(subject: str, cls: type[Event]) -> dict[str, Any]:
    return {
        "name": subject,
        "title": cls.__name__,
        "summary": doc(cls),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{cls.__name__}"},
    }


def _header_schema() -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in HEADERS.items()}
    return {
        "type": "object",
        "required": [name for name in HEADERS if name != "traceparent"],
        "properties": properties,
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for subject, cls in _by_subject():
        for service in speakers(subject):
            yield f"{service}.says.{subject}", _operation("send", subject, cls)
        for durable in listeners(subject):
            hears = _operation("receive", subject, cls)
            yield f"{durable}.hears.{subject}", {**hears, "x-durable": durable}


def _operation(action: str, subject: str, cls: type[Event]) -> dict[str, Any]:
    channel = f"#/channels/{subject}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{cls.__name__}"}],
    }


# -- the files -----------------------------------------------------------------------------------


def files() -> dict[Path, str]:
    """Every generated file and what it has to hold."""
    return {
        DOCS / "events.md": markdown().rstrip("\n") + "\n",
        DOCS / "asyncapi.json": _json(asyncapi()),
        sizing.PAGE: sizing.page(),
        SERVED: json.dumps(asyncapi(), separators=(",", ":"), ensure_ascii=False) + "\n",
        **{DOCS / "schemas" / f"{s}.json": _json(schema_of(cls)) for s, cls in _by_subject()},
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differences() -> list[str]:
    """The files that are missing, out of date, or of an event that is no more."""
    wanted = files()
    stale = [f for f, text in wanted.items() if not f.exists() or f.read_text("utf-8") != text]
    stray = [f for f in (DOCS / "schemas").glob("*.json") if f not in wanted]
    return sorted(str(file.relative_to(DOCS.parent)) for file in (*stale, *stray))


def write() -> None:
    wanted = files()
    (DOCS / "schemas").mkdir(exist_ok=True)
    for file in (DOCS / "schemas").glob("*.json"):
        if file not in wanted:
            file.unlink()
    for file, text in wanted.items():
        file.write_text(text, "utf-8")


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        write()
    elif sys.argv[1:] == ["--check"]:
        if stale := differences():
            raise SystemExit(
                f"not what the code says: {', '.join(stale)}\nrun: python docs/generate.py --write"
            )
    else:
        raise SystemExit(inspect.cleandoc(__doc__ or ""))


if __name__ == "__main__":
    main()
