"""Dispatchers as processes on real servers, and a mail world whose ledger says what really happened."""

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
from nats.aio.msg import Msg

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.senders import (
    MailServer,
    SenderCreated,
    SenderSnapshot,
    SenderStatus,
    SmtpSecurity,
)
from postfleet.instants import now
from postfleet.mongo import Mongo
from postfleet.reconcile import apply
from postfleet.secrets import KeyRing
from postfleet.topology import RPC_CREDENTIALS
from postfleet_sandbox import Sandbox
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

API_KEY = "a-key-for-the-tests-of-the-dispatcher"
MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
PASSWORD = "the sender's password"
SENDER = "ann@fleet.test"


class Dispatcher:
    """`python -m dispatcher`; started as often as a test likes, under one instance name."""

    def __init__(self, world: "DispatcherWorld", instance: str) -> None:
        self.world, self.instance = world, instance
        self.port = free_ports(1)[0]
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/api/public/v1",
            headers={"X-API-Key": API_KEY},
            timeout=10,
            trust_env=False,
        )
        self._process: ServerProcess | None = None

    async def start(self, fail_point: str = "", **more: str) -> None:
        """Start and wait until it is ready."""
        world = self.world
        env = {
            **os.environ,
            "NATS_URL": world.nats.url,
            "MONGODB_URL": world.mongodb_url,
            "POSTFLEET_DATABASE_PREFIX": world.prefix,
            "MASTER_KEY": MASTER_KEY,
            "POSTFLEET_API_KEY": API_KEY,
            "POSTFLEET_HTTP_PORT": str(self.port),
            "POSTFLEET_TLS_CA_FILE": world.box.ca_file,
            "POSTFLEET_DISPATCHER_INSTANCE": self.instance,
            "POSTFLEET_DISPATCHER_PLAN_EVERY_SECONDS": "0.1",
            "POSTFLEET_DISPATCHER_BATCH_SIZE": "10",
            "POSTFLEET_DISPATCHER_EHLO_HOSTNAME": "dispatcher.test",
            "POSTFLEET_DISPATCHER_RETRY_BASE_SECONDS": "1",
            "POSTFLEET_FAIL_POINT": fail_point,
            **more,
        }
        argv = [sys.executable, "-m", "dispatcher"]
        self._process = ServerProcess(argv, world.folder / f"{self.instance}.log", env)
        await world.until(self._ready, f"{self.instance} ready", self.tail, seconds=90)

    async def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.running, self.tail()
        with contextlib.suppress(httpx.TransportError):
            return (await self.http.get(f"http://127.0.0.1:{self.port}/readyz")).is_success
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def dead(self) -> bool:
        return self._process is None or not self._process.running

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def tail(self) -> str:
        return self._process.tail() if self._process else ""

    async def api(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.http.request(method, path, **more)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()


class DispatcherWorld:
    """NATS, a database and a mail world; the test plays the sender registry."""

    def __init__(self, nats: NatsServer, mongo: MongoServer, box: Sandbox, folder: Path) -> None:
        self.nats, self.box, self.folder = nats, box, folder
        self.mongodb_url = mongo.url
        self.prefix = mongo.database(f"{secrets.token_hex(4)}_")
        self.database = Mongo(mongo.url, "dispatcher", self.prefix).database
        self.bus = Bus(nats.url, "sender-registry")
        self.ring = KeyRing.parse(MASTER_KEY)
        self.dispatchers: list[Dispatcher] = []
        self.revision = 0

    def dispatcher(self, instance: str = "one") -> Dispatcher:
        self.dispatchers.append(Dispatcher(self, instance))
        return self.dispatchers[-1]

    async def prepare(self) -> None:
        await self.bus.connect()
        await apply(self.bus.jetstream)
        await self.bus.client.subscribe(RPC_CREDENTIALS, cb=self._password)
        self.box.add_account(SENDER, PASSWORD)
        await self.say_sender()

    async def say_sender(self, **changes: Any) -> None:
        """Announce the sender, each time under the next revision."""
        self.revision += 1
        snapshot = SenderSnapshot(
            **{
                "sender_id": "s1",
                "revision": self.revision,
                "email_address": SENDER,
                "domain": "fleet.test",
                "status": SenderStatus.READY,
                "health": 100,
                "daily_limit": 10_000,
                "effective_limit": 10_000,
                "smtp": MailServer(
                    host="localhost",
                    port=self.box.smtp_port,
                    security=SmtpSecurity.STARTTLS,
                    username=SENDER,
                ),
                **changes,
            }
        )
        event = SenderCreated(occurred_at=now(), sender_id="s1", sender=snapshot)
        await self.bus.publish(Announcement(event))

    async def _password(self, message: Msg) -> None:
        record = orjson.loads(message.data)["sender_id"]
        sealed = self.ring.seal(
            PASSWORD, service="sender-registry", record=record, name="smtp_password"
        )
        await message.respond(orjson.dumps({"sealed": sealed}))

    async def said(self) -> Counter[str]:
        """Subject -> how many of its events the stream has; each id is there once."""
        state = (await self.bus.jetstream.stream_info("EVENTS")).state
        subjects: Counter[str] = Counter()
        ids: Counter[str] = Counter()
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await self.bus.jetstream.get_msg("EVENTS", sequence)
            subjects[message.subject or ""] += 1
            ids[(message.headers or {})["ce-id"]] += 1
        assert set(ids.values()) == {1}
        return subjects

    async def until(
        self,
        true: Callable[[], Awaitable[Any]],
        what: str,
        tell: Callable[[], str] = str,
        seconds: float = 30,
    ) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := await true()):
            assert time.monotonic() < deadline, f"{what}: not in {seconds} s\n{tell()}"
            await asyncio.sleep(0.03)
        return value

    async def campaign(self, via: Dispatcher, people: list[str], **fields: Any) -> str:
        """Made, filled and started; its id."""
        body = {
            "name": "spring",
            "senders": ["s1"],
            "steps": [{"subject": "Hello", "body_text": "Hi {{ email }}"}],
            "postal_address": "1 Main St",
            **fields,
        }
        await self.until(self._sender_known, "the sender is known")
        campaign_id = str((await via.api("POST", "/campaigns", json=body))["id"])
        leads = [{"email": address} for address in people]
        report = await via.api("POST", f"/campaigns/{campaign_id}/leads", json=leads)
        assert report["imported"] == len(people)
        with contextlib.suppress(httpx.TransportError):  # a fail point may be faster
            await via.api("POST", f"/campaigns/{campaign_id}/start")
        return campaign_id

    async def _sender_known(self) -> bool:
        document = await self.database.senders.find_one({"_id": "s1"})
        return document is not None and document["revision"] == self.revision

    async def rows(self, campaign_id: str) -> dict[str, Any]:
        """recipient -> the delivery's row."""
        found = self.database.deliveries.find({"campaign_id": campaign_id}).limit(10_000)
        return {row["recipient"]: row async for row in found}

    async def settled(self, campaign_id: str, count: int, *states: str) -> dict[str, Any]:
        """Wait until so many rows are in one of these states; all rows."""
        wanted = states or ("accepted", "failed", "skipped", "unknown")
        found: dict[str, Any] = {}

        async def enough() -> bool:
            found.update(await self.rows(campaign_id))
            return sum(row["state"] in wanted for row in found.values()) == count

        await self.until(enough, f"{count} rows {wanted}", lambda: self._explain(found))
        return found

    def _explain(self, rows: dict[str, Any]) -> str:
        states = Counter(row["state"] for row in rows.values())
        return f"{states}\n" + "\n".join(one.tail() for one in self.dispatchers)

    def accepted(self) -> Counter[str]:
        """How often the mail world took responsibility for a mail to each recipient."""
        return Counter(record.recipient for record in self.box.records("accepted"))


@contextlib.asynccontextmanager
async def dispatcher_world(mongo: MongoServer, folder: Path) -> AsyncIterator[DispatcherWorld]:
    async with Sandbox(data=folder / "box") as box:
        with NatsServer() as nats:
            world = DispatcherWorld(nats, mongo, box, folder)
            try:
                await world.prepare()
                yield world
            finally:
                for one in world.dispatchers:
                    one.kill()
                    await one.http.aclose()
                await world.bus.stop()
