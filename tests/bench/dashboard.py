"""Server time of each page of the dashboard, on a fleet of 10,000 senders and 1,000,000 deliveries.

That is the long form; a whole bench has a tenth of the deliveries, because filling in takes minutes. The
tracker runs beside its embedded database; the other services are played by a web server that answers at
once with pages of the size that they have.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from postfleet.instants import now_ms
from postfleet.mongo import Database, Mongo
from tests.bench.bulk import load
from tests.bench.figures import Figure, figure
from tests.support.dashboard_fleet import answer_as_fleet
from tests.support.mongo import MongoServer
from tests.support.tracker import API_KEY, RunningTracker, running_tracker
from tests.support.webserver import Asked, Reply, web_server
from tracker.domain.deliveries import Delivery
from tracker.domain.facts import METRICS
from tracker.domain.timeline import Entry
from tracker.store.deliveries import DeliveryStore, delivery_document
from tracker.store.timelines import TimelineStore, entry_document

_DAY_MS = 86_400_000
_CHUNK = 5_000
_MEMORY = next((str(path) for path in (Path("/dev/shm"),) if path.is_dir()), None)
_PAGES = (
    "/",
    "/dashboard/data.json",
    "/dashboard/campaigns",
    "/dashboard/campaigns/c0007",
    "/dashboard/senders",
    "/dashboard/senders/s00042",
    "/dashboard/deliveries",
    "/dashboard/deliveries?recipient=p77%40x77.test",
    f"/dashboard/deliveries?delivery={'0' * 32}",
    "/dashboard/campaigns/c0007/lead?lead=p77%40x77.test",
    "/dashboard/replies",
    "/dashboard/bounces",
    "/dashboard/domains",
    "/dashboard/events",
    "/dashboard/events.json",
    "/dashboard/dead-letters",
)


@dataclass(frozen=True, slots=True)
class Size:
    senders: int
    deliveries: int
    campaigns: int = 100


def results(quick: bool) -> Iterator[Figure]:
    if quick:
        return _pages_of(Size(1_000, 20_000), 3)
    return _pages_of(Size(10_000, 100_000), 9)


def long_results() -> Iterator[Figure]:
    return _pages_of(Size(10_000, 1_000_000), 9)


def _pages_of(size: Size, rounds: int) -> Iterator[Figure]:
    timed = asyncio.run(_measure(size, rounds))
    for page in timed:
        name = f"dashboard, {size.senders} senders, {size.deliveries} deliveries: GET {page}"
        yield figure(name, timed[page], "ms", goal="<= 300")


async def _measure(size: Size, rounds: int) -> dict[str, list[float]]:
    async with _filled(size) as tracker:
        login = await tracker.http.post("/login", data={"key": API_KEY})
        cookies = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
        timed: dict[str, list[float]] = {}
        for page in _PAGES:
            for _ in range(rounds):
                began = time.perf_counter()
                answer = await tracker.http.get(page, headers=cookies)
                if answer.status_code != 200:
                    raise RuntimeError(f"{page}: {answer.status_code} {answer.text[:200]}")
                timed.setdefault(page, []).append((time.perf_counter() - began) * 1000)
        return timed


@contextmanager
def _files_in(folder: str) -> Iterator[None]:
    """Where the embedded server keeps its files: filling a disk is not what is measured."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


@asynccontextmanager
async def _filled(size: Size) -> AsyncIterator[RunningTracker]:
    async def fleet(asked: Asked) -> Reply:
        return answer_as_fleet(asked, size.senders)

    with (
        tempfile.TemporaryDirectory(dir=_MEMORY) as folder,
        _files_in(folder),
        MongoServer() as mongo,
    ):
        await asyncio.to_thread(_load, mongo, size)
        async with (
            web_server(fleet, None) as gateway,
            running_tracker(
                mongo.url, Path(folder), gateway_url=gateway.url, database_prefix=mongo.prefix
            ) as tracker,
        ):
            await _counters(tracker.app_database(), size)
            yield tracker


def _load(server: MongoServer, size: Size) -> None:
    moment, database = now_ms(), server.database("tracker")
    sent = (delivery_document(*_delivery(n, size, moment)) for n in range(size.deliveries))
    load(server, database, "deliveries", sent)
    told = (_answer(_delivery(n, size, moment)[0], moment) for n in range(size.deliveries))
    load(server, database, "timelines", (entry_document(entry) for entry in told if entry))
    asyncio.run(_index(server))


async def _index(server: MongoServer) -> None:
    mongo = Mongo(server.url, "tracker", server.prefix)
    await DeliveryStore(mongo.database).ensure_indexes()
    await TimelineStore(mongo.database).ensure_indexes()
    await mongo.close()


def _delivery(number: int, size: Size, moment: int) -> tuple[Delivery, Entry]:
    at_ms = moment - (size.deliveries - number) * 30 * _DAY_MS // size.deliveries
    delivery = Delivery(
        delivery_id=f"{number:032x}",
        sender_id=f"s{number % size.senders:05}",
        recipient=f"p{number % 300_000}@x{number % 997}.test",
        message_id=f"<{number:032x}@fleet.test>",
        sent_ms=at_ms,
        campaign_id=f"c{number % size.campaigns:04}",
        step=number % 3,
        variant="A",
        lead_id=f"{number:032x}",
    )
    details: dict[str, str | int] = {
        "delivery_id": delivery.delivery_id,
        "reply_code": 250,
        "reply_text": "2.0.0 Ok: queued as 4XyZ1Q2Wz",
        "mail_subject": "A question about your fleet",
    }
    return delivery, Entry(f"e{number}", delivery.recipient, "email.sent", at_ms, details)


def _answer(delivery: Delivery, moment: int) -> Entry | None:
    """An open for every second mail, a reply for every 25th, a bounce for every 50th."""
    number = int(delivery.delivery_id, 16)
    kinds = {50: "bounce.hard", 25: "reply.detected", 2: "email.opened"}
    kind = next((event for every, event in kinds.items() if number % every == 0), None)
    if kind is None:
        return None
    at_ms = min(moment, delivery.sent_ms + 3_600_000)
    details: dict[str, str | int] = {
        "delivery_id": delivery.delivery_id,
        "sender_id": delivery.sender_id,
        "text": "Thank you, next week suits me well. " * 4,
    }
    return Entry(f"a{number}", delivery.recipient, kind, at_ms, details)


async def _counters(database: Database, size: Size) -> None:
    """A counter for all that is counted of such a fleet; the figures themselves do not matter."""
    labels: list[tuple[str, dict[str, Any]]] = [("overall", {})]
    labels += [("sender", {"sender": f"s{n:05}"}) for n in range(size.senders)]
    labels += [("domain", {"domain": f"fleet{n}.test"}) for n in range(size.senders // 10)]
    labels += [("bounce", {"category": name}) for name in ("user_unknown", "mailbox_full")]
    for n in range(size.campaigns):
        of = {"campaign": f"c{n:04}"}
        labels.append(("campaign", of))
        labels += [("step", {**of, "step": str(step)}) for step in range(3)]
        labels += [
            ("variant", {**of, "step": str(s), "variant": v}) for s in range(3) for v in "AB"
        ]
        each = range(0, size.senders, max(1, size.senders // 200))
        labels += [("campaign-sender", {**of, "sender": f"s{sender:05}"}) for sender in each]
    counts = dict.fromkeys(METRICS, 7) | {"sent": 1000}
    documents = [
        {"_id": ":".join((scope, *facts.values())), "scope": scope, "run": 0, **facts, **counts}
        for scope, facts in labels
    ]
    for start in range(0, len(documents), _CHUNK):
        await database.counters.insert_many(documents[start : start + _CHUNK])
    await database.campaigns.insert_many(
        [
            {
                "_id": f"c{n:04}",
                "name": f"Campaign {n}",
                "name_ms": 1,
                "status": "running",
                "status_ms": n,
            }
            for n in range(size.campaigns)
        ]
    )


if __name__ == "__main__":
    for one in long_results():
        print(orjson.dumps({"name": one.name, "ms": one.median, "spread": one.spread}).decode())
