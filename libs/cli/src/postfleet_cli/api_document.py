"""One OpenAPI document from those of the services, and the page that shows it.

Pure: documents go in, a document or a page comes out.
"""

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from postfleet_cli.routes import service_of

Document = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete", "head")
_REF = "#/components/schemas/"
_REFUSAL: Document = {
    "description": "401 unknown key, 403 its scopes, 404, 409 conflict, 422 input, 429 and 503 later",
    "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}},
}
_TEXT: Document = {"type": "string"}
_ERROR: Document = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {"field": _TEXT, "code": _TEXT, "message": _TEXT},
}
_PROBLEM: Document = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        **dict.fromkeys(("type", "title", "code", "detail"), _TEXT),
        "status": {"type": "integer"},
        "errors": {"type": "array", "items": _ERROR},
    },
}


def merge(documents: Mapping[str, Document]) -> Document:
    """What the gateway routes, of all services; operations are tagged with their service.

    Schemas of the same name that differ are told apart by their service's name.
    """
    paths: Document = {}
    components: dict[str, Document] = {}
    for service, document in documents.items():
        schemas = document.get("components", {}).get("schemas", {})
        taken = components.get("schemas", {})
        clashing = {n for n, schema in schemas.items() if n in taken and taken[n] != schema}
        own = _renamed(document, {n: f"{n}_{service.replace('-', '_')}" for n in clashing})
        for kind, entries in own.get("components", {}).items():
            components.setdefault(kind, {}).update(entries)
        for path, operations in own.get("paths", {}).items():
            if service_of(path) == service:
                paths[path] = {
                    method: _operation_of(service, operation) if method in _METHODS else operation
                    for method, operation in operations.items()
                }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postfleet",
            "version": "1",
            "description": "Sends mail through a fleet of sender mailboxes.",
        },
        "tags": [{"name": service} for service in documents],
        "paths": dict(sorted(paths.items())),
        "components": {
            **components,
            "schemas": {**components.get("schemas", {}), "Problem": _PROBLEM},
        },
    }


def _operation_of(service: str, operation: Document) -> Document:
    """With its service's tag; whatever else it answers is a problem (RFC 9457)."""
    answers = {k: v for k, v in operation.get("responses", {}).items() if k != "422"}
    return {**operation, "tags": [service], "responses": {**answers, "default": _REFUSAL}}


def _renamed(document: Document, names: Mapping[str, str]) -> Document:
    """The document with these schemas under other names, references included."""
    if not names:
        return document
    references = {_REF + old: _REF + new for old, new in names.items()}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        return references.get(value, value) if isinstance(value, str) else value

    renamed: Document = walk(document)
    schemas = renamed["components"]["schemas"]
    renamed["components"]["schemas"] = {names.get(n, n): s for n, s in schemas.items()}
    return renamed


_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1.5rem}
h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0}
summary{cursor:pointer;padding:.45rem .7rem}
details>div{padding:.2rem .9rem .8rem;border-top:1px solid var(--line)}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.6rem;border-radius:6px;overflow-x:auto}
b.m{display:inline-block;min-width:4.2rem;font:600 12px ui-monospace,monospace}
.get{color:#2a6fd6}.post{color:#1e8e4a}.delete{color:#c33}.patch,.put{color:#b26a00}
table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .9rem .15rem 0;vertical-align:top}
"""


def page(document: Document) -> str:
    """A self-contained page: every operation with its parameters, body and answers."""
    sections = "".join(_section(document, tag["name"]) for tag in document["tags"])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Postfleet API</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>Postfleet API</h1>"
        "<p>Send your key as <code>X-API-Key</code>. Errors are "
        "<code>application/problem+json</code> (RFC 9457). The same as data: "
        f'<a href="/openapi.json">/openapi.json</a>.</p>{sections}</html>'
    )


def _section(document: Document, service: str) -> str:
    operations = [
        _operation(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS and service in operation["tags"]
    ]
    return f"<h2>{_text(service)}</h2>{''.join(operations)}" if operations else ""


def _operation(document: Document, method: str, path: str, operation: Document) -> str:
    about = operation.get("description") or ""
    parts = [f"<p>{_text(about)}</p>" if about else "", _parameters(operation)]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{_text(kind)}</code></p>")
        parts.append(_schema(document, content.get("schema", {})))
    for status, response in operation.get("responses", {}).items():
        parts.append(f"<p><b>{_text(status)}</b> {_text(response.get('description', ''))}</p>")
        for content in response.get("content", {}).values():
            parts.append(_schema(document, content.get("schema", {})))
    return (
        f'<details><summary><b class="m {method}">{method.upper()}</b> <code>{_text(path)}</code> '
        f"{_text(operation.get('summary', ''))}</summary><div>{''.join(parts)}</div></details>"
    )


def _parameters(operation: Document) -> str:
    rows = [
        f"<tr><td><code>{_text(p['name'])}</code><td>{_text(p['in'])}"
        f"<td>{'required' if p.get('required') else ''}<td>{_text(p.get('description', ''))}</tr>"
        for p in operation.get("parameters", [])
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _schema(document: Document, schema: Document) -> str:
    if not schema:
        return ""
    shown = {"schema": schema, **dict(_referenced(document, schema, set()))}
    body = schema if len(shown) == 1 else shown
    return f"<pre>{_text(json.dumps(body, indent=1, ensure_ascii=False))}</pre>"


def _referenced(document: Document, value: Any, seen: set[str]) -> Iterator[tuple[str, Document]]:
    """The schemas that `value` refers to, and those that they refer to."""
    if isinstance(value, list):
        for inner in value:
            yield from _referenced(document, inner, seen)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_REF) and reference not in seen:
            seen.add(reference)
            name = reference.removeprefix(_REF)
            schema = document["components"].get("schemas", {}).get(name, {})
            yield name, schema
            yield from _referenced(document, schema, seen)
        for inner in value.values():
            yield from _referenced(document, inner, seen)


def _text(value: object) -> str:
    return html.escape(str(value))
