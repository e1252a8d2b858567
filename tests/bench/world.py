"""A dispatcher as a process on real servers, a sink for its mails, and meters of what each costs."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
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
from postfleet.instants import now, now_ms
from postfleet.mongo import Mongo
from postfleet.reconcile import apply
from postfleet.secrets import KeyRing
from postfleet.topology import JOB_PARTITIONS, RPC_CREDENTIALS
from tests.bench.mails import HTML, TEXT
from tests.bench.sink import Sink
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

SENDERS, CONNECTIONS_A_SENDER = 5, 2  # ten connections, as every client of the bench has
_API_KEY = "a-key-for-the-bench-of-the-dispatcher"
_MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
_PATIENCE_SECONDS = 900.0
_START_SECONDS = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU since a process began, and the most memory that it has had."""

    cpu_seconds: float
    peak_rss_mib: float


def usage(pid: int) -> Usage:
    """Of one process and the children that it has now."""
    cpu, rss = 0.0, 0.0
    for one in _family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / _TICKS
            status = Path(f"/proc/{one}/status").read_text().splitlines()
            high = next(line for line in status if line.startswith("VmHWM"))
            rss = max(rss, int(high.split()[1]) / 1024)
    return Usage(cpu, rss)


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


class World:
    """Everything that one campaign needs; the bench plays the sender registry."""

    def __init__(
        self, nats: NatsServer, mongo: MongoServer | None, sink: Sink, folder: Path, workers: int
    ) -> None:
        self.nats, self.mongo, self._sink, self._folder = nats, mongo, sink, folder
        self._workers = workers
        self.prefix = f"bench_{secrets.token_hex(4)}_"
        self.bus = Bus(nats.url, "sender-registry")
        self._ring = KeyRing.parse(_MASTER_KEY)
        self._port = 0
        self._process: ServerProcess | None = None
        self.http = httpx.AsyncClient(headers={"X-API-Key": _API_KEY}, timeout=600, trust_env=False)

    def pids(self) -> dict[str, int]:
        """Part -> its process, of those that run on this machine for us; not the sink's."""
        assert self._process is not None
        found = {"dispatcher": self._process.pid, "nats": self.nats.pid}
        if self.mongo and self.mongo.pid:
            found["database"] = self.mongo.pid
        return found

    async def start(self) -> None:
        """Streams, senders, and a dispatcher that is ready. Without a database it has a stub."""
        await self.bus.connect()
        await apply(self.bus.jetstream)
        await self.bus.client.subscribe(RPC_CREDENTIALS, cb=self._password)
        for number in range(SENDERS):
            await self._say_sender(f"s{number}")
        self._port = free_ports(1)[0]  # as late as can be: others look for ports as well
        self.http.base_url = f"http://127.0.0.1:{self._port}/api/public/v1"
        module = "dispatcher" if self.mongo else "tests.bench.peers.dispatcher_without_database"
        self._process = ServerProcess(
            [sys.executable, "-m", module], self._folder / "dispatcher.log", self._environment()
        )
        await self._until(self._ready, "the dispatcher is ready", _START_SECONDS)
        if self.mongo and self._workers > 1:
            await self._until(self._shared, "the workers share the partitions", _START_SECONDS)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NATS_URL": self.nats.url,
            "MONGODB_URL": self.mongo.url if self.mongo else "mongodb://127.0.0.1:1/",
            "POSTFLEET_DATABASE_PREFIX": self.prefix,
            "MASTER_KEY": _MASTER_KEY,
            "POSTFLEET_API_KEY": _API_KEY,
            "POSTFLEET_PUBLIC_URL": "https://track.bench.test",
            "POSTFLEET_HTTP_PORT": str(self._port),
            "POSTFLEET_LOG_LEVEL": "WARNING",
            "POSTFLEET_DISPATCHER_INSTANCE": "bench",
            "POSTFLEET_DISPATCHER_WORKERS": str(self._workers),
            "POSTFLEET_DISPATCHER_EHLO_HOSTNAME": "bench.test",
            "POSTFLEET_DISPATCHER_PLAN_EVERY_SECONDS": "0.1",
            "POSTFLEET_DISPATCHER_CONNECTIONS_PER_SENDER": str(CONNECTIONS_A_SENDER),
            "POSTFLEET_DISPATCHER_MAILS_PER_CONNECTION": "100000",
        }

    async def _say_sender(self, sender_id: str) -> None:
        address = f"{sender_id}@sender.test"
        server = MailServer(
            host="127.0.0.1", port=self._sink.port, security=SmtpSecurity.NONE, username=""
        )
        snapshot = SenderSnapshot(
            sender_id=sender_id,
            revision=1,
            email_address=address,
            display_name="Ann Sender",
            domain="sender.test",
            status=SenderStatus.READY,
            health=100,
            daily_limit=100_000_000,
            effective_limit=100_000_000,
            smtp=server,
        )
        event = SenderCreated(occurred_at=now(), sender_id=sender_id, sender=snapshot)
        await self.bus.publish(Announcement(event))

    async def _password(self, message: Msg) -> None:
        record = orjson.loads(message.data)["sender_id"]
        sealed = self._ring.seal(
            "none is asked for", service="sender-registry", record=record, name="smtp_password"
        )
        await message.respond(orjson.dumps({"sealed": sealed}))

    async def _ready(self) -> bool:
        assert self._process is not None
        if not self._process.running:
            raise RuntimeError(f"the dispatcher ended\n{self._process.tail()}")
        with contextlib.suppress(httpx.TransportError):
            answer = await self.http.get(f"http://127.0.0.1:{self._port}/readyz")
            return answer.is_success
        return False

    async def _shared(self) -> bool:
        """Every partition is held, and no worker has more than its share."""
        assert self.mongo is not None
        mongo = Mongo(self.mongo.url, "dispatcher", self.prefix)
        try:
            held = {"_id": {"$gte": "partition.", "$lt": "partition/"}, "until": {"$gt": now_ms()}}
            found = mongo.database.leases.find(held).limit(JOB_PARTITIONS)
            owners = Counter([lease["owner"] async for lease in found])
        finally:
            await mongo.close()
        most = -(-JOB_PARTITIONS // self._workers)
        return owners.total() == JOB_PARTITIONS and max(owners.values()) <= most

    async def _until(self, true: Any, what: str, seconds: float = _PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not await true():
            if time.monotonic() > deadline:
                tail = self._process.tail() if self._process else ""
                raise RuntimeError(f"not in {seconds:g} s: {what}\n{tail}")
            await asyncio.sleep(0.02)

    # -- a campaign --------------------------------------------------------------------------------

    async def fill(self, leads: int) -> str:
        """A campaign over HTTP, its leads as one CSV; not started yet."""
        body = {
            "name": "bench",
            "senders": [f"s{number}" for number in range(SENDERS)],
            "steps": [
                {"subject": "An offer for {{ first_name }}", "body_text": TEXT, "body_html": HTML}
            ],
            "tracking": {"opens": True, "clicks": True},
            "postal_address": "1 Main St",
        }
        answer = await self.http.post("/campaigns", json=body)
        _check(answer)
        campaign_id = str(answer.json()["id"])
        answer = await self.http.post(
            f"/campaigns/{campaign_id}/leads",
            content=_csv(leads),
            headers={"Content-Type": "text/csv"},
        )
        _check(answer)
        return campaign_id

    async def run(self, campaign_id: str, leads: int) -> float:
        """Start it; seconds until `email.sent` of every lead is on the stream."""
        before = await self.sent()
        began = time.perf_counter()
        _check(await self.http.post(f"/campaigns/{campaign_id}/start"))

        async def all_sent() -> bool:
            return await self.sent() - before >= leads

        await self._until(all_sent, f"{leads} email.sent")
        return time.perf_counter() - began

    async def sent(self) -> int:
        """How many `email.sent` the stream has; each id is there once."""
        info = await self.bus.jetstream.stream_info("EVENTS", subjects_filter="email.sent")
        return int((info.state.subjects or {}).get("email.sent", 0))

    @property
    def sink_pid(self) -> int:
        return self._sink.pid

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
        await self.http.aclose()
        await self.bus.stop()


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise RuntimeError(f"{answer.request.url}: {answer.status_code} {answer.text[:500]}")


async def _csv(leads: int) -> AsyncIterator[bytes]:
    yield b"email,first_name,company\r\n"
    for start in range(0, leads, 1000):
        rows = (
            f"person{n}@people.test,Person {n},Company {n % 977}\r\n"
            for n in range(start, min(leads, start + 1000))
        )
        yield "".join(rows).encode()


@contextlib.asynccontextmanager
async def world(*, database: bool = True, workers: int = 1) -> AsyncIterator[World]:
    """Servers of its own, gone at the end; nothing is pinned to a core."""
    with (
        tempfile.TemporaryDirectory(prefix="bench") as folder,
        NatsServer() as nats,
        contextlib.ExitStack() as stack,
    ):
        mongo = stack.enter_context(MongoServer()) if database else None
        sink = stack.enter_context(Sink(pinned=False))
        made = World(nats, mongo, sink, Path(folder), workers)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
