"""A tracker that runs in the test's own event loop, on a NATS that may be killed."""

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from nats.aio.msg import Msg

from postfleet.api_keys import hash_key
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignCreated, CampaignLinksCompiled
from postfleet.events.deliveries import EmailSent
from postfleet.mongo import Mongo
from postfleet.reconcile import apply
from postfleet.tokens import Purpose, TokenKeys
from postfleet.topology import RPC_API_KEY
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tracker.app import build
from tracker.settings import SERVICE, Settings

API_KEY = "a-key-for-the-tests-of-the-tracker"
READ_KEY = "a-key-that-may-only-read-and-no-more"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
LONG_AGO = timedelta(hours=1)


class RunningTracker:
    """The service over HTTP, and a bus on which a test plays the dispatcher."""

    def __init__(self, url: str, settings: Settings, bus: Bus, nats: NatsServer, app: Any) -> None:
        self.url, self.settings, self.bus, self.nats, self.app = url, settings, bus, nats, app
        self.keys = TokenKeys(settings.key_ring)
        self.http = httpx.AsyncClient(base_url=url, headers={"User-Agent": BROWSER}, timeout=30)

    async def get(self, path: str) -> Any:
        """What the API answers, which must be a 200."""
        answer = await self.http.get(
            f"/api/public/v1/analytics/{path}", headers={"X-API-Key": API_KEY}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def app_database(self) -> Any:
        """The tracker's own database."""
        mongo = Mongo(self.settings.mongodb_url, SERVICE, self.settings.database_prefix)
        return mongo.database

    def pixel(self, delivery_id: str) -> str:
        return f"/o/{self.keys.make(Purpose.OPEN, delivery_id)}.gif"

    def link(self, delivery_id: str, link_id: str) -> str:
        return f"/c/{self.keys.make(Purpose.CLICK, delivery_id, link_id)}"

    def unsubscribe(self, delivery_id: str) -> str:
        return f"/u/{self.keys.make(Purpose.UNSUBSCRIBE, delivery_id)}"

    async def say(self, *events: Any) -> None:
        await self.bus.publish(*(Announcement(event) for event in events))

    async def until(self, check: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
        """Wait until the check holds; fail when it does not in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not await check():
            assert asyncio.get_running_loop().time() < deadline, "waited in vain"
            await asyncio.sleep(0.05)

    async def counted(self, **expected: int) -> dict[str, Any]:
        """Wait until the overview shows these numbers; return all of it."""
        found: dict[str, Any] = {}

        async def shown() -> bool:
            found.update(await self.get("overview"))
            return all(found[name] == value for name, value in expected.items())

        try:
            await self.until(shown)
        except AssertionError as error:
            shown_now = {name: found.get(name) for name in expected}
            raise AssertionError(f"expected {expected}, shown {shown_now}") from error
        return found

    async def events(self) -> list[tuple[str, dict[str, str], bytes]]:
        """(subject, headers, body) of all that is in the stream, in its order."""
        state = (await self.bus.jetstream.stream_info("EVENTS")).state
        found = []
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await self.bus.jetstream.get_msg("EVENTS", sequence)
            found.append((message.subject or "", message.headers or {}, message.data or b""))
        return found


@contextlib.asynccontextmanager
async def running_tracker(
    mongodb_url: str, tmp_path: Path, *, prepare_bus: bool = True, **changes: Any
) -> AsyncIterator[RunningTracker]:
    """A tracker with a database and a NATS server of its own."""
    with NatsServer() as nats:
        port = free_ports(1)[0]
        settings = Settings(
            nats_url=nats.url,
            mongodb_url=mongodb_url,
            master_key=MASTER_KEY,
            api_key=API_KEY,
            public_url=f"http://127.0.0.1:{port}",
            http_port=port,
            spool_dir=tmp_path / "spool",
            **{
                "database_prefix": f"test_{uuid.uuid4().hex[:8]}_",
                "consumer_process": False,  # one process: a test sees all that happens
                **changes,
            },
        )
        bus = Bus(nats.url, "dispatcher")
        await bus.connect()
        if prepare_bus:
            await apply(bus.jetstream)
        await bus.client.subscribe(RPC_API_KEY, cb=_know_one_key)
        app = build(settings)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="on",
                http=app.state.protocol,
                proxy_headers=False,
            )
        )
        serving = asyncio.create_task(server._serve())
        running = RunningTracker(settings.public_url, settings, bus, nats, app)
        try:
            if prepare_bus:
                await running.until(lambda: _ready(running))
            yield running
        finally:
            await running.http.aclose()
            server.should_exit = True
            await serving
            await bus.stop()


async def _know_one_key(message: Msg) -> None:
    """The sender registry's part: besides the bootstrap key it knows one that may only read."""
    asked = json.loads(message.data)["hash"]
    known = {"id": "reader", "scopes": ["read"]} if asked == hash_key(READ_KEY) else {}
    await message.respond(json.dumps(known).encode())


async def _ready(running: RunningTracker) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await running.http.get("/readyz")).status_code == 200
    return False


def new_id() -> str:
    return uuid.uuid4().hex


def sent(delivery_id: str, **fields: Any) -> EmailSent:
    """A mail that was accepted an hour ago, unless `fields` say otherwise."""
    return EmailSent(
        **{
            "occurred_at": datetime.now(UTC) - LONG_AGO,
            "delivery_id": delivery_id,
            "campaign_id": "spring",
            "step": 1,
            "variant": "a",
            "lead_id": "lead-1",
            "sender_id": "sender-1",
            "recipient": "ann@example.org",
            "message_id": f"<{delivery_id}@example.net>",
            "reply_code": 250,
            **fields,
        }
    )


def compiled(links: dict[str, str], *canaries: str) -> CampaignLinksCompiled:
    return CampaignLinksCompiled(
        occurred_at=datetime.now(UTC) - LONG_AGO,
        campaign_id="spring",
        name="Spring",
        links=links,
        canaries=canaries,
    )


def created(campaign_id: str = "spring", name: str = "Spring") -> CampaignCreated:
    return CampaignCreated(
        occurred_at=datetime.now(UTC) - LONG_AGO, campaign_id=campaign_id, name=name
    )
