"""The service as it is started: one process answers, another one consumes and is kept alive."""

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.reconcile import apply
from postfleet.tokens import Purpose, TokenKeys
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess
from tests.support.tracker import API_KEY, MASTER_KEY, new_id, sent
from tracker.settings import Settings

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0 Safari/537.36"}


class Service:
    def __init__(self, process: ServerProcess, bus: Bus, port: int, env: dict[str, str]) -> None:
        self.process, self.bus = process, bus
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=BROWSER)
        self.keys = TokenKeys(
            Settings(
                nats_url=env["NATS_URL"],
                mongodb_url=env["MONGODB_URL"],
                master_key=MASTER_KEY,
                api_key=API_KEY,
            ).key_ring
        )

    async def until(self, check: Any, seconds: float = 100) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            with contextlib.suppress(httpx.TransportError):
                if await check():
                    return
            assert asyncio.get_running_loop().time() < deadline, self.process.tail()
            await asyncio.sleep(0.1)

    async def ready(self) -> bool:
        return (await self.http.get("/readyz")).status_code == 200

    async def opened(self, count: int) -> None:
        async def shown() -> bool:
            answer = await self.http.get(
                "/api/public/v1/analytics/overview", headers={"X-API-Key": API_KEY}
            )
            return answer.status_code == 200 and answer.json()["opened"] == count

        await self.until(shown)

    def consumer(self) -> int:
        """The pid of the second process: the one child that the first has."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (pid,) = children.read_text().split()
        return int(pid)


@pytest.fixture
async def service(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[Service]:
    with NatsServer() as nats:
        port = free_ports(1)[0]
        env = {
            **os.environ,
            "NATS_URL": nats.url,
            "MONGODB_URL": mongo_server.url,
            "MASTER_KEY": MASTER_KEY,
            "POSTFLEET_API_KEY": API_KEY,
            "POSTFLEET_HTTP_PORT": str(port),
            "POSTFLEET_DATABASE_PREFIX": f"test_{uuid.uuid4().hex[:8]}_",
            "POSTFLEET_TRACKER_SPOOL_DIR": str(tmp_path / "spool"),
        }
        bus = Bus(nats.url, "dispatcher")
        await bus.connect()
        await apply(bus.jetstream)
        process = ServerProcess([sys.executable, "-m", "tracker"], tmp_path / "log", env)
        running = Service(process, bus, port, env)
        try:
            await running.until(running.ready)
            yield running
        finally:
            await running.http.aclose()
            process.kill()
            await bus.stop()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
async def test_a_killed_consumer_is_started_again_and_no_hit_is_lost(service: Service) -> None:
    deliveries = [new_id() for _ in range(20)]
    await service.bus.publish(
        *(Announcement(sent(d, recipient=f"{d}@example.org")) for d in deliveries)
    )
    for delivery in deliveries[:10]:
        path = f"/o/{service.keys.make(Purpose.OPEN, delivery)}.gif"
        assert (await service.http.get(path)).status_code == 200
    await service.opened(10)
    before = service.consumer()
    os.kill(before, signal.SIGKILL)
    for delivery in deliveries[10:]:  # who answers does not notice
        path = f"/o/{service.keys.make(Purpose.OPEN, delivery)}.gif"
        assert (await service.http.get(path)).status_code == 200
    await service.opened(20)
    assert service.consumer() != before

    async def measured() -> bool:
        text = (await service.http.get("/metrics")).text
        assert text.count("# TYPE postfleet_events_consumed_total") == 1
        return 'durable="tracker-events"' in text

    await service.until(measured)
    assert await measured()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
async def test_the_consumer_ends_with_the_service(service: Service) -> None:
    consumer = service.consumer()
    os.kill(service.process.pid, signal.SIGTERM)

    async def gone() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(consumer, 0)
            return False
        return not service.process.running

    await service.until(gone)
    assert not service.process.running
