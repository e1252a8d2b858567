"""The events for machines, as the gateway serves them: AsyncAPI 3, and a JSON Schema for each subject.

`asyncapi.json` beside this file is written by `docs/generate.py`, and CI compares it with the code.
"""

from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from postfleet.events import EVENTS
from postfleet_cli.proxy import problem

_FILE = Path(__file__).with_name("asyncapi.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


async def asyncapi(_: Request) -> Response:
    """All channels, operations and messages."""
    return Response(_FILE.read_bytes(), media_type="application/json")


async def schema(request: Request) -> Response:
    """The body of one event, such as `/schemas/email.sent.json`."""
    found = _schema(request.path_params["subject"])
    if found is None:
        return problem(404, "NOT_FOUND", "no event has this subject; /asyncapi.json lists them")
    return JSONResponse(found, media_type="application/schema+json")


@cache
def _schema(subject: str) -> dict[str, Any] | None:
    cls = EVENTS.get(subject)
    return None if cls is None else {"$schema": _DIALECT, **cls.model_json_schema(by_alias=True)}
