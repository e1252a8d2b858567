"""What a second worker process adds: campaigns with one and with two, in turns, and the cores in use.

All that a mail needs runs on this machine: the dispatcher, the embedded database, NATS, and the sink,
whose CPU is a row of its own. A second process can add what the cores have left, and no more: so the
cores that were busy are told beside the rate.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.end_to_end import Campaign, measured
from tests.bench.figures import Figure, figure, skipped
from tests.bench.sink import Sink
from tests.bench.world import usage, world


@dataclass(frozen=True, slots=True)
class Shared:
    """A campaign, and the seconds of CPU that the sink had meanwhile."""

    campaign: Campaign
    sink_cpu: float

    @property
    def cores(self) -> float:
        """Busy on average from the start to the last mail."""
        used = sum(self.campaign.cpu.values()) + self.sink_cpu
        return used / self.campaign.seconds

    @property
    def sink_us(self) -> float:
        return self.sink_cpu / self.campaign.leads * 1e6


def results(quick: bool) -> list[Figure]:
    if reason := Sink.missing():
        return [skipped("worker processes", reason)]
    rounds, leads = (3, 1_000) if quick else (5, 5_000)
    one, two = [], []
    for _ in range(rounds):
        one.append(asyncio.run(_campaign(leads, 1)))
        two.append(asyncio.run(_campaign(leads, 2)))
    return _figures(one, two)


async def _campaign(leads: int, workers: int) -> Shared:
    async with world(workers=workers) as there:
        before = usage(there.sink_pid).cpu_seconds
        campaign = await measured(there, leads)
        return Shared(campaign, usage(there.sink_pid).cpu_seconds - before)


def _figures(one: Sequence[Shared], two: Sequence[Shared]) -> list[Figure]:
    title = f"two worker processes, {one[0].campaign.leads:,} leads"
    meters: tuple[tuple[str, str, Callable[[Shared], float]], ...] = (
        ("rate", "mails/s", lambda shared: shared.campaign.rate),
        ("cost of a mail", "µs/mail", lambda shared: shared.campaign.cpu_us()),
        (f"cores in use, of {os.cpu_count()}", "cores", lambda shared: shared.cores),
        ("CPU of the sink", "µs/mail", lambda shared: shared.sink_us),
    )
    return [
        figure(
            f"{title}: {name}",
            [meter(shared) for shared in two],
            unit,
            peer=[meter(shared) for shared in one],
            against="one process",
        )
        for name, unit, meter in meters
    ]
