"""Every number that a caller may say has a greatest value: the database's integers have 64 bits."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from postfleet.secrets import KeyRing

SERVICES = ("sender_registry", "dispatcher", "inbox_watcher", "tracker", "mail_provisioner")
_BOUNDS = {"maximum", "exclusiveMaximum", "enum", "const"}
Json = dict[str, Any]


def _unbounded(node: Any, path: str, schemas: Json, above: frozenset[str]) -> Iterator[str]:
    """Where an integer without a bound stands; a schema within itself is looked at once."""
    if isinstance(node, list):
        for inner in node:
            yield from _unbounded(inner, path, schemas, above)
    if not isinstance(node, dict):
        return
    name = str(node.get("$ref", "")).rpartition("/")[2]
    if name and name not in above:
        yield from _unbounded(schemas[name], name, schemas, above | {name})
    if node.get("type") == "integer" and not _BOUNDS & node.keys():
        yield path
    for key, inner in node.items():
        yield from _unbounded(inner, f"{path}.{key}", schemas, above)


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
@pytest.mark.parametrize("service", SERVICES)
def test_every_integer_in_a_request_has_a_greatest_value(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    monkeypatch.setenv("MONGODB_URL", "mongodb://127.0.0.1:1")
    monkeypatch.setenv("MASTER_KEY", KeyRing.generate())
    monkeypatch.setenv("POSTFLEET_API_KEY", "a-key-of-the-contract-tests")
    monkeypatch.setenv("POSTFLEET_DATA_DIR", str(tmp_path))
    settings = import_module(f"{service}.settings").Settings()
    document = import_module(f"{service}.app").build(settings).openapi()
    schemas = document["components"]["schemas"]
    asked = [
        (f"{method} {path}", operation.get(part, []))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for part in ("parameters", "requestBody")
    ]
    assert len(asked) > 5
    found = {at for path, said in asked for at in _unbounded(said, path, schemas, frozenset())}
    assert sorted(found) == []
