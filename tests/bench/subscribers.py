"""What ten subscribers of `email.*` cost the send rate: campaigns with and without them, in turns.

A subscriber is the program of docs/subscribe.md: a durable of its own, fetching 100 at a time, an ack
for each. They share one process with the lowest priority, as their machines would be their own.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.end_to_end import Campaign, measured
from tests.bench.figures import Figure, figure, skipped
from tests.bench.sink import Sink
from tests.bench.world import World, world
from tests.support.process import ServerProcess

_SUBSCRIBERS = 10
_PATIENCE_SECONDS = 300
_PARTS = ("dispatcher", "database", "nats")


def results(quick: bool) -> list[Figure]:
    if reason := Sink.missing():
        return [skipped("ten subscribers", reason)]
    rounds, leads = (3, 600) if quick else (5, 5_000)
    alone, heard = [], []
    for _ in range(rounds):
        alone.append(asyncio.run(_campaign(leads, 0)))
        heard.append(asyncio.run(_campaign(leads, _SUBSCRIBERS)))
    return _figures(alone, heard)


async def _campaign(leads: int, subscribers: int) -> Campaign:
    async with world() as there, _subscribed(there, subscribers):
        campaign = await measured(there, leads)
        await _all_heard(there, leads, subscribers)
        return campaign


@asynccontextmanager
async def _subscribed(there: World, count: int) -> AsyncIterator[None]:
    if not count:
        yield
        return
    argv = ["nice", "-n", "19", sys.executable, "-m", "tests.bench.peers.subscribers"]
    with tempfile.TemporaryDirectory(prefix="subs") as folder:
        log = Path(folder) / "log"
        process = ServerProcess([*argv, there.nats.url, str(count)], log)
        try:
            process.wait_until(lambda: "listening" in process.tail(), "subscribing", 60)
            yield
        finally:
            process.kill()


async def _all_heard(there: World, leads: int, subscribers: int) -> None:
    """Every one of them has acked every `email.sent`: else they cost nothing because they slept."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for number in range(subscribers):
        while True:
            info = await there.bus.jetstream.consumer_info("EVENTS", f"subscriber{number}")
            floor = info.ack_floor.consumer_seq if info.ack_floor else 0
            if floor >= leads and not info.num_pending and not info.num_ack_pending:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"subscriber {number} has heard {floor} of {leads}")
            await asyncio.sleep(0.1)


def _figures(alone: list[Campaign], heard: list[Campaign]) -> list[Figure]:
    title = f"ten subscribers, {alone[0].leads:,} leads"
    against = "nobody subscribed"
    before, after = [c.rate for c in alone], [c.rate for c in heard]
    rate = figure(
        f"{title}: send rate", after, "mails/s", peer=before, against=against, goal=">= 0.95 x"
    )
    return [rate, *(_cost(title, part, alone, heard, against) for part in _PARTS)]


def _cost(
    title: str, part: str, alone: list[Campaign], heard: list[Campaign], against: str
) -> Figure:
    """Where the rate goes: what a mail costs each part, with them and without."""
    costs = [[c.cpu_us(part) for c in campaigns] for campaigns in (heard, alone)]
    return figure(
        f"{title}: CPU of the {part}", costs[0], "µs/mail", peer=costs[1], against=against
    )
