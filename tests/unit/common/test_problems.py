"""Every error of the HTTP API is a problem document (RFC 9457) with a code."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient
from pymongo.errors import ServerSelectionTimeoutError

from postfleet import problems
from postfleet.http import Strict
from postfleet.outages import NotConfirmed, Unavailable
from postfleet.problems import FieldError, Problem, invalid, not_found


class Step(Strict):
    subject: str
    body: str = ""


class Campaign(Strict):
    name: str
    steps: list[Step]


ERRORS: dict[str, Exception] = {
    "not-found": not_found("sender", "s1"),
    "conflict": Problem(409, "CONFLICT", "it is there already", sender_id="s1"),
    "later": Problem(429, "SLOW_DOWN", "too many", headers={"Retry-After": "7"}),
    "input": invalid("steps.0.delay", "NEGATIVE", "must not be negative"),
    "http": HTTPException(418, "tea", headers={"X-Tea": "green"}),
    "database": ServerSelectionTimeoutError("mongodb://user:pa55@host"),
    "bus": NotConfirmed(["id"], TimeoutError()),
    "rpc": Unavailable("rpc.sender.credentials: no answer"),
    "ours": ZeroDivisionError("pa55"),
}


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    app = FastAPI()
    problems.install(app)

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name]

    @app.post("/campaigns")
    async def create(campaign: Campaign) -> str:
        return campaign.name

    @app.get("/list")
    async def listed(limit: int = 1) -> int:
        return limit

    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "code", "detail"),
    [
        ("not-found", 404, "NOT_FOUND", "there is no sender 's1'"),
        ("conflict", 409, "CONFLICT", "it is there already"),
        ("later", 429, "SLOW_DOWN", "too many"),
        ("input", 422, "INVALID", "steps.0.delay: must not be negative"),
        ("http", 418, "HTTP_418", "tea"),
        ("database", 503, "UNAVAILABLE", "the database does not answer; try again"),
        ("bus", 503, "UNAVAILABLE", "the message bus does not answer; try again"),
        ("rpc", 503, "UNAVAILABLE", "the message bus does not answer; try again"),
        ("ours", 500, "INTERNAL", "an error of ours; the log has more"),
    ],
)
async def test_an_error_is_a_problem_document(
    name: str, status: int, code: str, detail: str, client: AsyncClient
) -> None:
    response = await client.get(f"/raise/{name}")
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, body["status"]) == (status, status)
    assert (body["code"], body["detail"], body["type"]) == (code, detail, "about:blank")
    assert body["title"]
    assert "pa55" not in response.text


async def test_headers_and_further_fields_come_along(client: AsyncClient) -> None:
    assert (await client.get("/raise/later")).headers["retry-after"] == "7"
    assert (await client.get("/raise/database")).headers["retry-after"] == "2"
    assert (await client.get("/raise/http")).headers["x-tea"] == "green"
    assert (await client.get("/raise/conflict")).json()["sender_id"] == "s1"


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: AsyncClient) -> None:
    missing, wrong = await client.get("/nothing"), await client.delete("/list")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        pytest.param({"steps": []}, "name", "missing", id="a field is missing"),
        pytest.param({"name": 1, "steps": []}, "name", "string_type", id="a number for a string"),
        pytest.param(
            {"name": "a", "steps": [], "colour": 1}, "colour", "extra_forbidden",
            id="an unknown field",
        ),
        pytest.param(
            {"name": "a", "steps": [{"subject": "x"}, {}]}, "steps.1.subject", "missing",
            id="a field deep inside",
        ),
        pytest.param(
            {"name": "a", "steps": [{"subject": "x", "body": 5}]}, "steps.0.body", "string_type",
            id="a field that is called body",
        ),
        pytest.param([], "body", "model_attributes_type", id="no object at all"),
    ],
)  # fmt: skip
async def test_input_that_does_not_fit_is_named_by_field(
    body: Any, field: str, code: str, client: AsyncClient
) -> None:
    response = await client.post("/campaigns", json=body)
    (error,) = response.json()["errors"]
    assert response.status_code == 422
    assert (error["field"], error["code"]) == (field, code)
    assert error["message"]


async def test_a_body_that_is_no_json_and_a_wrong_query_are_named(client: AsyncClient) -> None:
    broken = await client.post(
        "/campaigns", content=b'{"name": ', headers={"content-type": "application/json"}
    )
    query = await client.get("/list", params={"limit": "many"})
    assert broken.json()["errors"][0]["field"] == "body"
    assert broken.json()["errors"][0]["code"] == "json_invalid"
    assert query.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_a_415_with_the_remedy(
    kind: str, client: AsyncClient
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await client.post("/campaigns", content=b'{"name": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "application/json" in answer.json()["detail"]
    assert answer.headers["accept"] == "application/json"


def test_several_field_errors_are_all_told() -> None:
    errors = [FieldError("a", "X", "first"), FieldError("b", "Y", "second")]
    response = Problem(422, "INVALID", "two things", errors).response()
    assert b'"field":"b","code":"Y","message":"second"' in response.body
