"""The inbox watcher as a process on a real Dovecot: how soon a reply is told, what a thousand cost."""

import asyncio
import contextlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from nats.aio.msg import Msg

from tests.bench.figures import Figure, figure, skipped
from tests.bench.world import usage
from tests.support.inboxwatcher import API_KEY, Platform, eventually
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

_PASSWORD = "secret"
_PATIENCE_SECONDS = 300.0
_DELIVERIES_A_SECOND = 10
_NAMES = ("inbox: from a delivery to its event on Dovecot", "inbox: a watcher of idle mailboxes")


@dataclass(frozen=True, slots=True)
class _Form:
    answered: int  # mailboxes of which each gets a reply
    idle: int  # mailboxes of which none does
    idle_seconds: float


def results(quick: bool) -> Iterator[Figure]:
    return _measured(_Form(60, 100, 10.0) if quick else _Form(150, 300, 10.0))


def long_results() -> Iterator[Figure]:
    """The whole promise: 500 mailboxes with replies, 1,000 idle ones for a minute."""
    return _measured(_Form(500, 1000, 60.0))


def _measured(form: _Form) -> Iterator[Figure]:
    reason = MailPair.missing() or NatsServer.missing() or MongoServer.missing()
    if reason:
        yield from (skipped(name, reason) for name in _NAMES)
        return
    waits, started, cpu = asyncio.run(_with_watcher(form.answered, _deliver))
    yield figure(f"{_NAMES[1]}: all {form.answered} watched", [started], "s", goal="< 60")
    yield figure("inbox: a watcher's CPU for a reply on Dovecot", [cpu * 1000], "ms")
    ordered = [wait * 1000 for wait in waits]
    cuts = statistics.quantiles(ordered, n=100)
    yield figure(f"{_NAMES[0]}, p50", [statistics.median(ordered)], "ms", goal="< 700")
    yield figure(f"{_NAMES[0]}, p99", [cuts[98]], "ms", goal="< 2000")

    async def idle(stage: "_Stage") -> tuple[float, float]:
        return await _idle(stage, form.idle_seconds)

    resident, core = asyncio.run(_with_watcher(form.idle, idle))
    promised = form.idle >= 1000  # of a thousand; a part of it is the watcher's own
    memory, part = ("< 150", "< 2") if promised else ("", "")
    yield figure(f"{_NAMES[1]}: {form.idle} with TLS", [resident], "MiB", goal=memory)
    yield figure(f"{_NAMES[1]}: a core for {form.idle}", [core], "%", goal=part)


@dataclass(slots=True)
class _Stage:
    platform: Platform
    pair: MailPair
    watcher: ServerProcess
    senders: Sequence[str]
    started_seconds: float  # until all mailboxes were watched


async def _with_watcher(count: int, play: Any) -> Any:
    with (
        NatsServer() as nats,
        MongoServer() as mongo,
        MailPair(domains=["one.test"], imap_connections=count + 50) as pair,
        tempfile.TemporaryDirectory() as folder,
    ):
        senders = [f"bench{number}" for number in range(count)]
        pair.add_mailboxes((f"{sender}@one.test" for sender in senders), _PASSWORD)
        platform = Platform(nats.url, mongo.url, str(pair.ca_file))
        await platform.start()
        try:
            async with _watching(platform, pair, senders, Path(folder)) as stage:
                return await play(stage)
        finally:
            await platform.stop()


@contextlib.asynccontextmanager
async def _watching(
    platform: Platform, pair: MailPair, senders: Sequence[str], folder: Path
) -> AsyncIterator[_Stage]:
    port = free_ports(1)[0]
    environment = {
        **os.environ,
        "NATS_URL": platform.nats_url,
        "MONGODB_URL": platform.mongo_url,
        "MASTER_KEY": platform.master_key,
        "POSTFLEET_API_KEY": API_KEY,
        "POSTFLEET_DATABASE_PREFIX": f"bench{secrets.token_hex(3)}_",
        "POSTFLEET_HTTP_PORT": str(port),
        "POSTFLEET_TLS_CA_FILE": str(pair.ca_file),
    }
    for sender in senders:
        await platform.register(sender, pair.imaps_port, _PASSWORD)
    command = [sys.executable, "-m", "inbox_watcher"]
    began = time.monotonic()
    watcher = ServerProcess(command, folder / "watcher.log", environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            await eventually(lambda: _watched(http), lambda n: n == len(senders), _PATIENCE_SECONDS)
        yield _Stage(platform, pair, watcher, senders, time.monotonic() - began)
    except AssertionError as error:
        raise RuntimeError(f"{error}\n{watcher.tail()}") from error
    finally:
        watcher.kill()


async def _watched(http: httpx.AsyncClient) -> int:
    """How many mailboxes are being watched, by the watcher's own metrics."""
    await asyncio.sleep(0.5)
    with contextlib.suppress(httpx.HTTPError):
        lines = (await http.get("/metrics")).text.splitlines()
        gauge = 'postfleet_inbox_mailboxes{state="watching"}'
        return next((int(float(line.split()[1])) for line in lines if line.startswith(gauge)), 0)
    return 0


async def _deliver(stage: _Stage) -> tuple[list[float], float, float]:
    """Seconds from Dovecot's 250 for a reply to its event on the bus, one reply for each sender.

    And those from the watcher's start until it watched all mailboxes, and its CPU seconds for each.
    """
    told: dict[str, float] = {}

    async def hear(message: Msg) -> None:
        told[orjson.loads(message.data)["sender_id"]] = time.monotonic()

    await stage.platform.bus.client.subscribe("reply.detected", cb=hear)
    for sender in stage.senders:
        await stage.platform.sent(sender, "lead@lead.test", f"{sender}@fleet.test")
    await asyncio.sleep(3)  # the watcher reads what was sent
    stored, used = {}, usage(stage.watcher.pid).cpu_seconds
    for sender in stage.senders:
        began = time.monotonic()
        await asyncio.to_thread(
            stage.pair.deliver, f"{sender}@one.test", _reply(sender), "lead@lead.test"
        )
        stored[sender] = time.monotonic()
        await asyncio.sleep(max(0.0, 1 / _DELIVERIES_A_SECOND - (stored[sender] - began)))

    async def heard() -> int:
        return len(told)

    await eventually(heard, lambda n: n == len(stored), 60)
    waits = [max(0.0, told[sender] - at) for sender, at in stored.items()]
    used = usage(stage.watcher.pid).cpu_seconds - used
    return waits, stage.started_seconds, used / len(stored)


def _reply(sender: str) -> bytes:
    return (
        f"From: A Lead <lead@lead.test>\r\nTo: {sender}@one.test\r\nSubject: Re: Hello\r\n"
        f"Message-ID: <answer.{sender}@lead.test>\r\nIn-Reply-To: <{sender}@fleet.test>\r\n"
        "\r\nYes, please.\r\n"
    ).encode()


async def _idle(stage: _Stage, seconds: float) -> tuple[float, float]:
    """The watcher's resident MiB, and % of a core while nothing arrives."""
    await asyncio.sleep(5)  # the first look of the last mailbox is over
    pid = stage.watcher.pid
    began, used = time.monotonic(), usage(pid).cpu_seconds
    await asyncio.sleep(seconds)
    core = (usage(pid).cpu_seconds - used) / (time.monotonic() - began) * 100
    return _resident_mib(pid), core


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
