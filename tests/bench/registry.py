"""Sender registry: log-ins tested at once, a page of a large fleet, outcomes applied a second."""

import asyncio
import random
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import httpx

from postfleet import instants
from postfleet.cloudevents import Received
from postfleet.events.event import Event
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.mongo import Document, Mongo
from postfleet.outbox import with_events
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.connecting import Reach
from sender_registry.documents import to_document
from sender_registry.domain.announcing import created
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.sender import Profile
from sender_registry.handlers import OutcomeHandler
from sender_registry.store import SenderStore
from sender_registry.validating import LogIn, validate
from tests.bench.figures import Figure, figure
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry import samples
from tests.unit.sender_registry.world import ACCOUNTS, registry, settings

RULES = LimitRules()
LATENCY_SECONDS = 0.05


def results(quick: bool) -> list[Figure]:
    rounds = 1 if quick else 5
    return [
        _validations(200, rounds),
        *asyncio.run(_with_servers(1_000 if quick else 10_000, 2_000 if quick else 6_000, rounds)),
    ]


# -- log-ins -------------------------------------------------------------------------------------


def _validations(count: int, rounds: int) -> Figure:
    seconds = [asyncio.run(_validate(count)) for _ in range(rounds)]
    name = f"registry: {count} senders validated at once, SMTP and IMAP, replies after 50 ms"
    return figure(name, seconds, "s", goal="< 3")


async def _validate(count: int) -> float:
    smtp, imap = await _slow(_smtp), await _slow(_imap)
    reach = Reach((ip_network("127.0.0.0/8"),), 10.0, ssl.create_default_context(), "bench.test")

    async def one() -> bool:
        validation = await validate(LogIn(_at(smtp), "pw"), LogIn(_at(imap), "pw"), reach)
        return not validation.smtp_code and not validation.imap_code

    started = time.perf_counter()
    done = await asyncio.gather(*(one() for _ in range(count)))
    seconds = time.perf_counter() - started
    for server in (smtp, imap):
        server.close()
    if not all(done):
        raise RuntimeError(f"{done.count(False)} log-ins failed")
    return seconds


def _at(server: asyncio.Server) -> MailServer:
    port = server.sockets[0].getsockname()[1]
    return MailServer(host="127.0.0.1", port=port, security=SmtpSecurity.NONE, username="ann")


async def _slow(answer: Callable[[bytes], bytes]) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = b""
        while reply := answer(line):
            await asyncio.sleep(LATENCY_SECONDS)
            writer.write(reply)
            line = await reader.readline()
        writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1000)


def _smtp(line: bytes) -> bytes:
    if not line:
        return b"220 bench\r\n"
    if line.startswith(b"EHLO"):
        return b"250-bench\r\n250 AUTH PLAIN\r\n"
    return b"235 ok\r\n" if line.startswith(b"AUTH") else b""


def _imap(line: bytes) -> bytes:
    if not line:
        return b"* OK bench\r\n"
    return b"a1 OK in\r\n" if b"LOGIN" in line else b""


# -- a large fleet -------------------------------------------------------------------------------


async def _with_servers(senders: int, events: int, rounds: int) -> list[Figure]:
    with NatsServer() as nats, MongoServer() as server:
        prefix = server.database("bench_")
        configuration = settings(nats.url, server.url, prefix, sweep_seconds=1.0)  # the default
        async with registry(configuration) as running:
            mongo = Mongo(server.url, "sender-registry", configuration.database_prefix)
            await _fill(mongo, senders)
            pages = [await _pages(running.http) for _ in range(rounds)]
            applied = [await _outcomes(mongo, events, number) for number in range(rounds)]
            await mongo.close()
    return [
        figure(
            f"registry: GET /sender-accounts, {senders} senders, p99",
            pages,
            "ms",
            goal="< 50",
        ),
        figure(
            "registry: outcomes applied by one process, 200 senders",
            applied,
            "events/s",
            goal="> 1000",
        ),
    ]


async def _fill(mongo: Mongo, count: int) -> None:
    """As `POST /sender-accounts` leaves them, many at a time."""
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        await mongo.grouped["senders"].insert_many([_stored(n) for n in numbers], ordered=False)
    await mongo.flush()


def _stored(number: int) -> Document:
    profile = Profile(f"s{number}@d{number % 50}.test", established_ms=samples.LONG_AGO_MS)
    sender = samples.sender(id=f"{number:032x}", revision=0, profile=profile)
    after = created(sender, instants.now(), RULES).after
    return with_events({"_id": after.id, **to_document(after), "secrets": {}}, ())


async def _pages(http: httpx.AsyncClient, count: int = 300) -> float:
    """The 99th percentile in milliseconds, of pages as a reader of the whole list meets them."""
    taken: list[float] = []
    cursor: str | None = None
    for _ in range(count):
        params: dict[str, Any] = {"limit": 50, **({"cursor": cursor} if cursor else {})}
        started = time.perf_counter()
        answer = await http.get(ACCOUNTS, params=params)
        taken.append((time.perf_counter() - started) * 1000)
        cursor = answer.json()["next_cursor"]
    return statistics.quantiles(taken, n=100)[98]


class _Silent:
    """A relay that only wakes: announcing is not measured here."""

    def wake(self) -> None:
        pass


async def _outcomes(mongo: Mongo, count: int, salt: int) -> float:
    relay: Any = _Silent()
    store = SenderStore(mongo.database["senders"], mongo.grouped["senders"])
    changes = Changes(store, relay, RULES, instants.now)
    applied = AppliedStore(mongo.grouped["applied"])
    handle: Callable[[list[Received[Event]]], Awaitable[None]]
    handle = OutcomeHandler(changes, applied, mongo.flush).handle
    choose, now = random.Random(salt), instants.now()
    told: list[Received[Event]] = []
    for number in range(count):
        sender_id, delivery = f"{choose.randrange(200):032x}", f"{salt}-{number}"
        bad = choose.random() < 0.03
        event: Event = (
            samples.soft(delivery, sender_id, now)
            if bad
            else samples.sent(delivery, sender_id, now)
        )
        told.append(Received(event, f"e-{delivery}"))
    started = time.perf_counter()
    for first in range(0, count, 500):
        await handle(told[first : first + 500])
        await mongo.flush()  # as the bus does before it acknowledges
    return count / (time.perf_counter() - started)
