"""`Idempotency-Key`: one promise, kept over mongomock and over a real MongoDB-wire server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from httpx import ASGITransport, AsyncClient
from mongomock_motor import AsyncMongoMockClient
from pymongo.errors import ServerSelectionTimeoutError

from postfleet import idempotency, problems
from postfleet.api_keys import ApiKey, Authenticator, Scope, hash_key, require
from postfleet.idempotency import IdempotencyMiddleware
from postfleet.instants import now_ms
from postfleet.mongo import Mongo
from postfleet.problems import Problem
from tests.support.mongo import MongoServer

KEY = "bootstrap-key-of-test"
HEADERS = {"X-API-Key": KEY, "Idempotency-Key": "order-1"}


@dataclass
class Shop:
    """Creates a thing per request, and counts; `gate` lets a request hang."""

    created: list[Any] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    guests: set[str] = field(default_factory=lambda: {"guest"})

    def app(self, collection: Any) -> FastAPI:
        app = FastAPI()
        problems.install(app)
        app.state.authenticator = Authenticator(KEY, self._look_up)
        app.add_middleware(IdempotencyMiddleware, collection=collection)
        self.gate.set()

        @app.post("/things")
        async def create(request: Request, key: ApiKey = require(Scope.SEND)) -> Response:  # noqa: B008
            self.created.append(await request.json())
            self.arrivals.release()
            await self.gate.wait()
            if self.status == 500:
                raise ZeroDivisionError
            if self.status == 503:
                raise ServerSelectionTimeoutError
            if self.status == 422:
                raise Problem(422, "INVALID", "no")
            body = {"number": len(self.created), "text": "é"}
            return JSONResponse(body, self.status, headers=self.headers)

        @app.post("/others")
        async def other() -> str:
            return "other"

        @app.get("/things")
        async def count() -> int:
            return len(self.created)

        return app

    async def _look_up(self, hashed: str) -> ApiKey | None:
        names = {hash_key(name): name for name in self.guests}
        return ApiKey(names[hashed], frozenset({Scope.SEND})) if hashed in names else None


@pytest.fixture(params=["mongomock", "server"])
async def collection(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "mongomock":
        yield AsyncMongoMockClient()["shop"]["idempotency"]
        return
    if reason := MongoServer.missing():
        pytest.skip(reason)
    server: MongoServer = request.getfixturevalue("mongo_server")
    mongo = Mongo(server.url, "shop", server.prefix)
    await mongo.database["idempotency"].delete_many({})
    yield mongo.database["idempotency"]
    await mongo.close()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def client(shop: Shop, collection: Any) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(shop.app(collection), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the middleware's clock; a request waits for nobody's answer."""
    monkeypatch.setattr(idempotency, "_PATIENCE_SECONDS", 0)

    def move(seconds: float) -> None:
        monkeypatch.setattr(idempotency, "now_ms", lambda: now_ms() + int(seconds * 1000))

    return move


async def test_same_key_and_body_get_the_same_answer_and_create_once(
    shop: Shop, client: AsyncClient
) -> None:
    shop.headers = {"Location": "/things/1"}
    first = await client.post("/things", json={"a": 1}, headers=HEADERS)
    again = await client.post("/things", json={"a": 1}, headers=HEADERS)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == "/things/1"
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert shop.created == [{"a": 1}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/things", {"a": 2}, id="another body"),
        pytest.param("/things?dry_run=1", {"a": 1}, id="another query"),
    ],
)
async def test_the_same_key_for_something_else_is_a_conflict(
    path: str, body: Any, shop: Shop, client: AsyncClient
) -> None:
    await client.post("/things", json={"a": 1}, headers=HEADERS)
    other = await client.post(path, json=body, headers=HEADERS)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert other.headers["content-type"] == "application/problem+json"
    assert len(shop.created) == 1


async def test_a_key_belongs_to_its_caller_and_path(shop: Shop, client: AsyncClient) -> None:
    await client.post("/things", json={"a": 1}, headers=HEADERS)
    guest = {**HEADERS, "X-API-Key": "guest"}
    assert (await client.post("/things", json={"a": 1}, headers=guest)).json()["number"] == 2
    assert (await client.post("/others", json={"a": 1}, headers=HEADERS)).json() == "other"


async def test_a_second_request_waits_for_the_answer_of_the_first(
    shop: Shop, client: AsyncClient
) -> None:
    shop.gate.clear()
    first = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    await shop.arrivals.acquire()
    second = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    other = await client.post("/things", json={"b": 1}, headers=HEADERS)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    shop.gate.set()
    assert (await first).content == (await second).content
    assert len(shop.created) == 1


async def test_a_second_request_is_told_when_the_first_runs_on_and_on(
    shop: Shop, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_PATIENCE_SECONDS", 0.1)
    shop.gate.clear()
    first = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    await shop.arrivals.acquire()
    second = await client.post("/things", json={}, headers=HEADERS)
    shop.gate.set()
    assert (second.status_code, second.json()["code"]) == (409, "IN_PROGRESS")
    assert (await first).status_code == 201
    assert len(shop.created) == 1


async def test_of_many_at_once_one_creates(shop: Shop, client: AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/things", json={}, headers=HEADERS) for _ in range(20))
    )
    assert len(shop.created) == 1
    assert {(a.status_code, a.content) for a in answers} == {(201, answers[0].content)}
    assert sum("idempotent-replayed" not in a.headers for a in answers) == 1


async def test_a_claim_that_a_crash_left_is_run_again_after_a_minute(
    shop: Shop, client: AsyncClient, collection: Any, later: Callable[[float], None]
) -> None:
    shop.gate.clear()
    first = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    await shop.arrivals.acquire()
    killed = await collection.find_one({})
    shop.gate.set()
    await first
    await collection.delete_many({})
    await collection.insert_one(killed)  # what kill -9 would have left
    later(59)
    assert (await client.post("/things", json={}, headers=HEADERS)).status_code == 409
    later(61)
    again = await client.post("/things", json={}, headers=HEADERS)
    assert (again.status_code, again.json()["number"]) == (201, 2)
    assert (await client.post("/things", json={}, headers=HEADERS)).json()["number"] == 2


async def test_a_slow_first_request_does_not_touch_the_claim_of_the_next(
    shop: Shop, client: AsyncClient, later: Callable[[float], None]
) -> None:
    first_gate, second_gate = asyncio.Event(), asyncio.Event()
    shop.gate = first_gate
    first = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    await shop.arrivals.acquire()
    later(61)
    shop.gate = second_gate
    second = asyncio.create_task(client.post("/things", json={}, headers=HEADERS))
    await shop.arrivals.acquire()
    shop.status = 422
    first_gate.set()
    assert (await first).status_code == 422
    third = await client.post("/things", json={}, headers=HEADERS)
    assert (third.status_code, third.json()["code"]) == (409, "IN_PROGRESS")
    shop.status = 201
    second_gate.set()
    assert (await second).status_code == 201


@pytest.mark.parametrize("status", [422, 500, 503])
async def test_a_failed_request_does_not_stick(
    status: int, shop: Shop, client: AsyncClient
) -> None:
    shop.status = status
    assert (await client.post("/things", json={}, headers=HEADERS)).status_code == status
    shop.status = 201
    assert (await client.post("/things", json={}, headers=HEADERS)).status_code == 201
    assert len(shop.created) == 2


async def test_an_answer_with_a_secret_is_kept_sealed_with_the_callers_own_key(
    shop: Shop, client: AsyncClient, collection: Any
) -> None:
    shop.headers = {"Cache-Control": "no-store"}
    first = await client.post("/things", json={}, headers=HEADERS)
    again = await client.post("/things", json={}, headers=HEADERS)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert len(shop.created) == 1
    stored = await collection.find_one({})
    assert "body" not in stored, "nothing of it can be read at rest"
    assert "number" not in str(stored)
    assert KEY not in str(stored)


async def test_a_revoked_key_gets_no_kept_answer(
    shop: Shop, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postfleet.api_keys._CACHE_SECONDS", -1)
    guest = {**HEADERS, "X-API-Key": "guest"}
    assert (await client.post("/things", json={}, headers=guest)).status_code == 201
    shop.guests.clear()
    refused = await client.post("/things", json={}, headers=guest)
    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
    shop.guests.add("guest")
    assert "idempotent-replayed" in (await client.post("/things", json={}, headers=guest)).headers


async def test_a_kept_answer_ends_after_a_day_and_old_ones_are_removed(
    shop: Shop, client: AsyncClient, collection: Any, later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(idempotency, "_TIDY_EVERY", 3)
    for number in range(3):
        await client.post("/things", json={}, headers={**HEADERS, "Idempotency-Key": f"k{number}"})
    later(24 * 3600 + 5)
    again = await client.post("/things", json={}, headers={**HEADERS, "Idempotency-Key": "k0"})
    assert again.json()["number"] == 4
    left = [document async for document in collection.find({}).limit(10)]
    assert len(left) == 1


async def test_without_a_key_or_for_get_nothing_is_kept(
    shop: Shop, client: AsyncClient, collection: Any
) -> None:
    for _ in range(2):
        await client.post("/things", json={}, headers={"X-API-Key": KEY})
        await client.get("/things", headers=HEADERS)
    assert len(shop.created) == 2
    assert await collection.find_one({}) is None


async def test_a_key_that_is_too_long_is_refused(shop: Shop, client: AsyncClient) -> None:
    async def post(length: int) -> int:
        headers = {**HEADERS, "Idempotency-Key": "k" * length}
        return (await client.post("/things", json={}, headers=headers)).status_code

    assert [await post(256), await post(257)] == [201, 422]


async def test_a_database_that_does_not_answer_is_a_503() -> None:
    class Away:
        def __getattr__(self, _: str) -> Any:
            async def fail(*_: Any, **__: Any) -> None:
                raise ServerSelectionTimeoutError("mongodb://user:pa55@host")

            return fail

    shop = Shop()
    transport = ASGITransport(shop.app(Away()))
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.post("/things", json={}, headers=HEADERS)
    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert "pa55" not in response.text
    assert not shop.created


async def test_a_body_too_large_to_be_compared_is_refused_with_the_remedy(
    shop: Shop, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_MAX_BODY", 1024 * 1024)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    answer = await client.post("/things", content=stream(), headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert "leave the key out" in answer.json()["detail"]
    assert shop.created == []
