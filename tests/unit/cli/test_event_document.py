"""The gateway serves the events' documents: those of the repository, without asking a service."""

import json
from pathlib import Path

import httpx

from postfleet_cli.gateway import build

DOCS = Path(__file__).parents[3] / "docs"


async def test_asyncapi_and_every_schema_are_served_as_they_are_published() -> None:
    app = build({})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        served = (await client.get("/asyncapi.json")).json()
        assert served == json.loads((DOCS / "asyncapi.json").read_text())
        assert served["asyncapi"].startswith("3.")
        files = sorted((DOCS / "schemas").glob("*.json"))
        assert len(files) > 40
        for file in files:
            answer = await client.get(f"/schemas/{file.name}")
            assert answer.headers["content-type"] == "application/schema+json"
            assert answer.json() == json.loads(file.read_text()), file.name
        unknown = await client.get("/schemas/no.event.json")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
