"""A sender registry that runs inside the test, on real NATS and MongoDB servers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import nats
import orjson
from nats.aio.client import Client

from postfleet import reconcile
from postfleet.cloudevents import Announcement
from postfleet.events.event import Event
from postfleet.mongo import Mongo
from postfleet.secrets import KeyRing
from sender_registry.app import build
from sender_registry.settings import Settings

MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
API_KEY = "bootstrap-key-of-the-tests"
ACCOUNTS = "/api/public/v1/sender-accounts"
KEYS = "/api/public/v1/api-keys"


def settings(nats_url: str, mongodb_url: str, prefix: str, **more: Any) -> Settings:
    values: dict[str, Any] = {
        "nats_url": nats_url,
        "mongodb_url": mongodb_url,
        "database_prefix": prefix,
        "master_key": MASTER_KEY,
        "api_key": API_KEY,
        "allowed_networks": "127.0.0.0/8,::1/128",
        "sweep_seconds": 0.1,
        **more,
    }
    return Settings(**values)


async def until(found: Callable[[], Awaitable[Any]], what: str, seconds: float = 10) -> Any:
    """Poll until `found` gives something true; its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = await found()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.03)


@dataclass
class Registry:
    """A running registry, its HTTP client and what it said on the bus since it was started."""

    configuration: Settings
    http: httpx.AsyncClient
    nats: Client
    said: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

    def events(self, subject: str, sender_id: str | None = None) -> list[dict[str, Any]]:
        return [
            body
            for said, body, _ in self.said
            if said == subject and sender_id in (None, body["sender_id"])
        ]

    async def event(self, subject: str, sender_id: str | None = None) -> dict[str, Any]:
        async def found() -> list[dict[str, Any]]:
            return self.events(subject, sender_id)

        return (await until(found, subject))[-1]

    async def tell(self, *events: Event, ids: list[str] | None = None) -> None:
        """Publish as another service does. Ids that repeat are stored again, as after ten minutes."""
        for number, event in enumerate(events):
            said = Announcement(event, ids[number]) if ids else Announcement(event)
            headers = said.headers("dispatcher")
            del headers["Nats-Msg-Id"]
            await self.nats.jetstream().publish(said.subject, said.body(), headers=headers)

    async def ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        message = await self.nats.request(subject, orjson.dumps(body), timeout=5)
        answer: dict[str, Any] = orjson.loads(message.data)
        return answer

    async def show(self, sender_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"{ACCOUNTS}/{sender_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


@contextlib.asynccontextmanager
async def started(configuration: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run one until the end of the block, ready or not."""
    app = build(configuration)
    transport = httpx.ASGITransport(app=app)
    headers = {"X-API-Key": API_KEY}
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http,
        app.router.lifespan_context(app),
    ):
        yield http


@contextlib.asynccontextmanager
async def registry(configuration: Settings) -> AsyncIterator[Registry]:
    """Run one until the end of the block; return when it is ready."""
    client = await nats.connect(configuration.nats_url)
    await reconcile.apply(client.jetstream())
    async with started(configuration) as http:
        running = Registry(configuration, http, client)

        async def heard(message: Any) -> None:
            running.said.append(
                (message.subject, orjson.loads(message.data), dict(message.headers or {}))
            )

        for family in ("sender.*", "credential.*", "sender_request.*"):
            await client.subscribe(family, cb=heard)
        await until(lambda: _ready(http), "ready")
        yield running
    await client.close()


async def documents(running: Registry, collection: str) -> list[dict[str, Any]]:
    """All that one collection holds."""
    mongo = Mongo(
        running.configuration.mongodb_url,
        "sender-registry",
        running.configuration.database_prefix,
    )
    try:
        cursor = mongo.database[collection].find({}).limit(10_000)
        return [document async for document in cursor]
    finally:
        await mongo.close()


async def _ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


def master_ring() -> KeyRing:
    return KeyRing.parse(MASTER_KEY)
