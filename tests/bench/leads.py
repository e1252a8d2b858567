"""Leads: a CSV file uploaded to the service itself, on the embedded database, and what that costs.

Beside it, in the same run, the same documents written by bulk inserts and nothing else: the most that
the database takes, with and without the index.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dispatcher.domain.lead_rows import LeadRow
from dispatcher.domain.leads_csv import LeadReader
from dispatcher.store.leads import Leads
from postfleet.mongo import Mongo
from tests.bench.figures import Figure, figure
from tests.support.dispatcher import Dispatcher, DispatcherWorld, dispatcher_world
from tests.support.mongo import MongoServer

_HEADING = b"email,first_name,company,city\n"
_CAMPAIGN = {
    "name": "bench",
    "senders": ["s1"],
    "steps": [{"subject": "Hello", "body_text": "Hi {{ first_name }}"}],
    "postal_address": "1 Main St",
}


def lines(start: int, count: int) -> bytes:
    return b"".join(
        b"lead%d@company%d.example.com,First%d,Company %d,Berlin\n" % (n, n % 5000, n, n % 5000)
        for n in range(start, start + count)
    )


async def _file(count: int) -> AsyncIterator[bytes]:
    yield _HEADING
    for start in range(0, count, 1000):
        yield lines(start, min(1000, count - start))


class _Memory:
    """The most that a process had resident, looked at ten times a second, in MiB."""

    def __init__(self, pid: int) -> None:
        self._status, self._done = Path(f"/proc/{pid}/status"), threading.Event()
        self.peak = 0.0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            for line in self._status.read_text().splitlines():
                if line.startswith("VmRSS"):
                    self.peak = max(self.peak, int(line.split()[1]) / 1024)


async def _upload(world: DispatcherWorld, one: Dispatcher, count: int) -> tuple[float, float]:
    """Seconds for the import, and the peak of the service's memory."""
    await one.start()
    campaign = (await one.api("POST", "/campaigns", json=_CAMPAIGN))["id"]
    path, headers = f"/campaigns/{campaign}/leads", {"Content-Type": "text/csv"}
    with _Memory(one.pid) as memory:
        started = time.perf_counter()
        report = await one.api("POST", path, content=_file(count), headers=headers, timeout=600)
        took = time.perf_counter() - started
    assert (report["imported"], report["invalid"]) == (count, 0), report
    return took, memory.peak


async def _import(count: int) -> tuple[float, float]:
    with MongoServer() as mongo, TemporaryDirectory() as folder:
        async with dispatcher_world(mongo, Path(folder)) as world:
            return await _upload(world, world.dispatcher(), count)


async def _inserts(count: int, index: bool) -> float:
    """Rows a second that the database takes in bulks, of the same documents."""
    rows = [
        LeadRow(n, f"lead{n}@company{n % 5000}.example.com", {"first_name": f"First{n}"})
        for n in range(count)
    ]
    with MongoServer() as server:
        mongo = Mongo(server.url, "dispatcher")
        await mongo.connect()
        leads = Leads(mongo.database.leads, mongo.relaxed.leads)
        if index:
            await leads.ensure_indexes()
        started = time.perf_counter()
        for start in range(0, count, 1000):
            await leads.add("0" * 32, rows[start : start + 1000])
        took = time.perf_counter() - started
        await mongo.close()
        return count / took


def _parse(count: int) -> float:
    """Rows a second that one core reads."""
    data, reader = _HEADING + lines(0, count), LeadReader()
    return _rate(count, lambda: [*reader.feed(data), *reader.finish()])


def _rate(count: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    assert len(work()) == count
    return count / (time.perf_counter() - started)


def results(quick: bool) -> list[Figure]:
    return _measured(50_000, 20_000) if quick else _measured(200_000, 50_000)


def long_results() -> list[Figure]:
    """The whole promise: a million."""
    return _measured(1_000_000, 50_000)


def _measured(count: int, part: int) -> list[Figure]:
    """`part`: rows of the bulk inserts beside it."""
    plain, indexed = asyncio.run(_inserts(part, False)), asyncio.run(_inserts(part, True))
    read = _parse(part)
    took, peak = asyncio.run(_import(count))
    return [
        figure(
            f"leads: seconds to import {count:,} from CSV",
            [took],
            "s",
            goal=f"< {120 * count / 1_000_000:g}",
        ),
        figure("leads: peak memory of the service meanwhile", [peak], "MiB", goal="< 300"),
        figure(
            "leads: rows a second imported",
            [count / took],
            "rows/s",
            peer=[indexed],
            against="bulk inserts of the same documents, nothing else",
        ),
        figure(
            "leads: rows a second by bulk inserts with the index",
            [indexed],
            "rows/s",
            peer=[plain],
            against="without an index",
        ),
        figure("leads: rows a second read by one core", [read], "rows/s"),
    ]
