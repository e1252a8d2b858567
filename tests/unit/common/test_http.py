"""What every service's HTTP side has: pages, health, readiness, metrics, strict bodies."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from mongomock_motor import AsyncMongoMockClient
from pydantic import ValidationError

from postfleet.api_keys import ApiKey, Authenticator
from postfleet.http import Strict, create_app, decode_cursor, encode_cursor, page
from postfleet.problems import Problem

ITEMS = [{"id": f"id {number}"} for number in range(10)]


@pytest.mark.parametrize(
    ("found", "limit", "shown", "more"),
    [
        pytest.param(0, 3, 0, False, id="nothing"),
        pytest.param(2, 3, 2, False, id="fewer than the limit"),
        pytest.param(3, 3, 3, False, id="exactly the limit"),
        pytest.param(4, 3, 3, True, id="one more than the limit"),
        pytest.param(2, 1, 1, True, id="pages of one"),
    ],
)
def test_a_page_ends_at_the_limit_and_says_where_to_go_on(
    found: int, limit: int, shown: int, more: bool
) -> None:
    result = page(ITEMS[:found], limit)
    assert result["items"] == ITEMS[:shown]
    assert (result["next_cursor"] is not None) == more
    if more:
        assert decode_cursor(result["next_cursor"]) == ITEMS[shown - 1]["id"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_cursor_leads_back_to_its_id(id_: str) -> None:
    cursor = encode_cursor(id_)
    assert decode_cursor(cursor) == id_
    assert cursor.isascii()
    assert not set("+/=&?# ") & set(cursor)


@pytest.mark.parametrize(
    "cursor", ["", "!!!!", "a", "YWJj=", "YWJj\n", " YWJj", "é", "/w", "_w", "AAAA"]
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as problem:
        decode_cursor(cursor)
    assert problem.value.status == 422
    assert problem.value.errors[0].field == "cursor"


class Body(Strict):
    count: int


@pytest.mark.parametrize("value", ["1", 1.0, True, None])
def test_no_value_is_coerced_from_another_type(value: Any) -> None:
    with pytest.raises(ValidationError):
        Body.model_validate({"count": value})
    assert Body.model_validate({"count": 1}).count == 1


class Service:
    """A small service whose dependencies can be made to fail."""

    def __init__(self) -> None:
        self.good = {"bus": True, "database": True}
        self.life: list[str] = []

    def app(self) -> FastAPI:
        router = APIRouter()

        @router.get("/things/{id_}")
        async def thing(id_: str) -> str:
            return id_

        @contextlib.asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            self.life.append("started")
            yield
            self.life.append("ended")

        async def nobody(_: str) -> ApiKey | None:
            return None

        async def bus() -> bool:
            return self.good["bus"]

        async def database() -> bool:
            return self.good["database"]

        return create_app(
            "example",
            authenticator=Authenticator("bootstrap-key-of-test", nobody),
            checks={"bus": bus, "database": database},
            routers=[router],
            idempotency=AsyncMongoMockClient()["example"]["idempotency"],
            lifespan=lifespan,
        )


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(service.app())
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_health_says_nothing_about_dependencies(
    service: Service, client: AsyncClient
) -> None:
    service.good["bus"] = False
    response = await client.get("/healthz")
    assert (response.status_code, response.json()["service"]) == (200, "example")


@pytest.mark.parametrize(
    ("bus", "database", "status"), [(True, True, 200), (False, True, 503), (True, False, 503)]
)
async def test_ready_only_when_every_dependency_is(
    bus: bool, database: bool, status: int, service: Service, client: AsyncClient
) -> None:
    service.good = {"bus": bus, "database": database}
    response = await client.get("/readyz")
    words = {True: "ok", False: "failing"}
    assert response.status_code == status
    assert response.json()["ready"] is (status == 200)
    assert response.json()["checks"] == {"bus": words[bus], "database": words[database]}


async def test_requests_are_counted_by_route_not_by_path(client: AsyncClient) -> None:
    for id_ in ("a1", "b2"):
        assert (await client.get(f"/things/{id_}")).status_code == 200
    assert (await client.get("/unknown/secret-token")).status_code == 404
    exposition = (await client.get("/metrics")).text
    assert 'route="/things/{id_}",service="example"} 2.0' in exposition
    assert 'route="unmatched"' in exposition
    assert "secret-token" not in exposition


async def test_the_lifespan_connects_before_and_drains_after(service: Service) -> None:
    app = service.app()
    async with app.router.lifespan_context(app):
        assert service.life == ["started"]
        assert app.state.draining is False
    assert service.life == ["started", "ended"]
    assert app.state.draining is True
