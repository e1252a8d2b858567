"""What ten subscribers of `email.*` cost the send rate: campaigns with and without them, in turns.

A subscriber is the Python program of docs/subscribe.md: a durable of its own, fetching 100 at a time, an
ack for each fetch. Their machines would be their own: they share one process, which gets what the platform
leaves of the cores. What the server does for them may so come after the last mail; therefore the CPU of
NATS is told twice, while mails are sent, and until the last subscriber has acked the last event.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.end_to_end import Campaign, measured
from tests.bench.figures import Figure, figure, skipped
from tests.bench.sink import Sink
from tests.bench.world import World, usage, world
from tests.support.process import ServerProcess

_SUBSCRIBERS = 10
_PATIENCE_SECONDS = 300
_PARTS = ("dispatcher", "database", "nats")


def results(quick: bool) -> list[Figure]:
    if reason := Sink.missing():
        return [skipped("ten subscribers", reason)]
    rounds, leads = (3, 600) if quick else (5, 5_000)
    return _figures(*asyncio.run(_in_turns(rounds, leads)))


@dataclass(frozen=True, slots=True)
class _Heard:
    """A campaign, and the CPU of NATS from its start until nothing was left to deliver, µs a mail."""

    campaign: Campaign
    nats_us: float


async def _in_turns(rounds: int, leads: int) -> tuple[list[_Heard], list[_Heard]]:
    """On the same servers: campaigns that nobody hears, and such that all subscribers do."""
    alone, heard = [], []
    async with world() as there:
        await measured(there, leads)  # what is done once is done now: connections, templates, files
        for _ in range(rounds):
            alone.append(await _one(there, leads, 0))
            async with _subscribed(there):
                heard.append(await _one(there, leads, _SUBSCRIBERS))
    return alone, heard


async def _one(there: World, leads: int, subscribers: int) -> _Heard:
    before = usage(there.nats.pid).cpu_seconds
    campaign = await measured(there, leads)
    await _all_heard(there, leads, subscribers)
    used = usage(there.nats.pid).cpu_seconds - before
    return _Heard(campaign, used / leads * 1e6)


@asynccontextmanager
async def _subscribed(there: World) -> AsyncIterator[None]:
    """With new durables, which are gone afterwards: what nobody fetches must not be kept for them."""
    argv = [sys.executable, "-m", "tests.bench.peers.subscribers"]
    with tempfile.TemporaryDirectory(prefix="subs") as folder:
        log = Path(folder) / "log"
        process = ServerProcess([*argv, there.nats.url, str(_SUBSCRIBERS)], log)
        try:
            process.wait_until(
                lambda: process.tail().count("listening") == _SUBSCRIBERS, "subscribing", 60
            )
            yield
        finally:
            process.kill()
            for number in range(_SUBSCRIBERS):
                await there.bus.jetstream.delete_consumer("EVENTS", f"subscriber{number}")


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
            await asyncio.sleep(0.2)


def _figures(alone: list[_Heard], heard: list[_Heard]) -> list[Figure]:
    title = f"ten subscribers, {alone[0].campaign.leads:,} leads"
    meters: list[tuple[str, str, str, Callable[[_Heard], float]]] = [
        ("send rate", "mails/s", ">= 0.95 x", lambda one: one.campaign.rate),
        ("CPU of NATS until all is heard", "µs/mail", "", lambda one: one.nats_us),
    ]
    for part in _PARTS:  # where the rate goes: what a mail costs each, with them and without
        costs = partial(_cost, part)
        meters.append((f"CPU of the {part}", "µs/mail", "", costs))
    return [
        figure(
            f"{title}: {name}",
            [meter(one) for one in heard],
            unit,
            peer=[meter(one) for one in alone],
            against="nobody subscribed",
            goal=goal,
        )
        for name, unit, goal, meter in meters
    ]


def _cost(part: str, one: _Heard) -> float:
    return one.campaign.cpu_us(part)
