"""A provisioner that is killed at any moment finishes its work after the next start."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import pytest

from postfleet import reconcile
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.provisioner import ACCOUNTS, API_KEY, MASTER_KEY, DnsServer, Service

COUNT = 24


class Process:
    """`python -m mail_provisioner` on a port of its own."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self._environment, self._port = environment, port
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, http: httpx.AsyncClient) -> None:
        command = [sys.executable, "-m", "mail_provisioner"]
        log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(command, env=self._environment, stderr=log)  # noqa: ASYNC220
        async with asyncio.timeout(20):
            while not await self._ready(http):  # noqa: ASYNC110 (a process cannot set our event)
                await asyncio.sleep(0.1)

    async def _ready(self, http: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{self._port}/readyz"
            return (await http.get(url)).status_code == 200
        return False

    def end(self, number: signal.Signals) -> int:
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(20)


@pytest.fixture
async def world(
    nats_server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> AsyncIterator[tuple[Process, Service]]:
    client = await nats.connect(nats_server.url)
    await reconcile.apply(client.jetstream())
    loop = asyncio.get_running_loop()
    transport, dns = await loop.create_datagram_endpoint(DnsServer, ("127.0.0.1", 0))
    (port,) = free_ports(1)
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats_server.url,
        "MONGODB_URL": mongo_server.url,
        "POSTFLEET_DATABASE_PREFIX": mongo_server.database(f"k{secrets.token_hex(3)}_"),
        "MASTER_KEY": MASTER_KEY,
        "POSTFLEET_API_KEY": API_KEY,
        "POSTFLEET_HTTP_PORT": str(port),
        "POSTFLEET_DATA_DIR": str(tmp_path),
        "POSTFLEET_MAIL_PROVISIONER_RESOLVER": f"127.0.0.1:{dns.port}",
    }
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/public/v1", headers={"X-API-Key": API_KEY}
    ) as http:
        process = Process(environment, port)
        await process.start(http)
        yield process, Service(http, client, dns, tmp_path / "mailserver")
        assert process.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    transport.close()
    await client.close()


async def test_after_a_kill_every_request_is_finished_and_announced_once(
    world: tuple[Process, Service],
) -> None:
    process, service = world
    domain = await service.domain()

    async def ask(number: int) -> bool:
        try:
            made = await service.post("/mailboxes", domain=domain, prefix=f"m{number}")
        except httpx.TransportError:
            return False
        return made.status_code == 201

    asking = [asyncio.create_task(ask(number)) for number in range(COUNT)]
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    process.end(signal.SIGKILL)
    confirmed = sum(await asyncio.gather(*asking))
    assert 0 < confirmed < COUNT
    await process.start(service.http)

    async def all_written() -> bool:
        answer = (await service.http.get(f"/mailboxes?domain={domain}&limit=200")).json()
        return all(item["state"] == "written" for item in answer["items"])

    await service.eventually(all_written)
    items = (await service.http.get(f"/mailboxes?domain={domain}&limit=200")).json()["items"]
    addresses = sorted(item["address"] for item in items)
    assert len(addresses) >= confirmed
    lines = [line.partition("|")[0] for line in service.lines(ACCOUNTS)]
    assert sorted(lines) == addresses
    for address in addresses:
        await service.events(address, 1)
    said = await service.count_events("mailbox.created")
    assert {address: said[address] for address in addresses} == dict.fromkeys(addresses, 1)
