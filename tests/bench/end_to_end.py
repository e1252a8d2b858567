"""A campaign from HTTP to `email.sent` counted on the stream, beside Nodemailer's pool, which only sends.

The dispatcher is the real process with JetStream on disk (`sync_interval: always`) and the embedded
database; the mails have text, HTML, tracked links, a pixel and an unsubscribe header. The clock runs
from `POST …/start` to the last `email.sent` on the stream. Leads are distinct.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.clients import Job, Run, nodemailer
from tests.bench.figures import Figure, figure, skipped
from tests.bench.profiling import FLAMES, TABLE, Profile, table
from tests.bench.profiling import missing as missing_py_spy
from tests.bench.sink import Sink
from tests.bench.world import World, usage, world
from tests.support import mailpeers

_POSTAL_PUBLISHED = 105.0  # mails/s, tuned, as published
_PEER = "Nodemailer pool, composing, without ledger and events"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One that was run. CPU is in seconds, by part: dispatcher, database, nats."""

    leads: int
    seconds: float
    import_seconds: float
    cpu: dict[str, float]
    peak_rss_mib: dict[str, float]

    @property
    def rate(self) -> float:
        return self.leads / self.seconds

    def cpu_us(self, part: str = "") -> float:
        """Microseconds a mail, of one part or all."""
        used = self.cpu[part] if part else sum(self.cpu.values())
        return used / self.leads * 1e6

    @property
    def database_share(self) -> float:
        return 100 * self.cpu.get("database", 0.0) / sum(self.cpu.values())


@dataclass(frozen=True, slots=True)
class _Form:
    """How many leads each campaign has. `few` and `many` show that a mail's cost is flat."""

    rounds: int
    leads: int
    few: int
    many: int
    peer_mails: int


_SHORT = _Form(3, 500, 500, 2_000, 400)
_WHOLE = _Form(5, 10_000, 10_000, 50_000, 1_500)
_LONG = _Form(5, 50_000, 10_000, 200_000, 2_000)


def results(quick: bool) -> Iterator[Figure]:
    return _measured(_SHORT if quick else _WHOLE)


def long_results() -> Iterator[Figure]:
    """The whole promise: campaigns of 50,000 leads, and one of 200,000 beside those of 10,000."""
    return _measured(_LONG)


def _measured(form: _Form) -> Iterator[Figure]:
    """Each group of figures as it is measured: one that breaks takes none of the others with it."""
    if reason := Sink.missing():
        yield skipped("end to end", reason)
        return
    mailpeers.prepare()
    campaigns, peers = [], []
    for _ in range(form.rounds):
        peers.append(_nodemailer(form.peer_mails))
        campaigns.append(run_campaign(form.leads))
    yield from _figures(campaigns, peers)
    same = form.few == form.leads
    few = campaigns if same else [run_campaign(form.few) for _ in range(form.rounds)]
    yield from _growth(few, run_campaign(form.many))
    yield from _profile(min(form.leads, 10_000))
    stubbed = [run_campaign(form.few, database=False) for _ in range(form.rounds)]
    yield from _stubbed(stubbed, few)


def run_campaign(leads: int, *, database: bool = True) -> Campaign:
    """On servers of its own."""
    return asyncio.run(_run(leads, database=database))


async def _run(leads: int, *, database: bool) -> Campaign:
    async with world(database=database) as there:
        return await measured(there, leads)


async def measured(there: World, leads: int) -> Campaign:
    """One campaign, and what its parts used of the machine."""
    began = time.perf_counter()
    campaign_id = await there.fill(leads)
    imported = time.perf_counter() - began
    before = {part: usage(pid).cpu_seconds for part, pid in there.pids().items()}
    seconds = await there.run(campaign_id, leads)
    after = {part: usage(pid) for part, pid in there.pids().items()}
    return Campaign(
        leads,
        seconds,
        imported,
        {part: one.cpu_seconds - before[part] for part, one in after.items()},
        {part: one.peak_rss_mib for part, one in after.items()},
    )


def _profile(leads: int) -> list[Figure]:
    """Writes the flame graph and the table of the report; the dispatcher's busy threads only."""
    if reason := missing_py_spy():
        return [skipped("end to end: profile", reason)]
    FLAMES.parent.mkdir(parents=True, exist_ok=True)
    stacks = asyncio.run(_profiled(leads))
    if not stacks:
        return [skipped("end to end: profile", "py-spy took no sample: it needs root, or ptrace")]
    TABLE.write_text(table(stacks, f"The dispatcher while it sent {leads:,} mails"))
    return []


async def _profiled(leads: int) -> Counter[str]:
    async with world() as there:
        campaign_id = await there.fill(leads)
        with Profile(there.pids()["dispatcher"], FLAMES) as profile:
            await there.run(campaign_id, leads)
        return profile.stacks


def _nodemailer(count: int) -> Run | None:
    if mailpeers.missing_node():
        return None
    with Sink(pinned=False) as sink:
        return nodemailer(compose=True)(Job(sink.port, count), False)


def _figures(campaigns: Sequence[Campaign], peers: Sequence[Run | None]) -> list[Figure]:
    leads = campaigns[0].leads
    title = f"end to end, {leads:,} leads"
    rates = [one.rate for one in campaigns]
    beside = [peer.rate for peer in peers if peer is not None]
    found = []
    if len(beside) == len(rates):
        found.append(figure(title, rates, "mails/s", peer=beside, against=_PEER, goal=">= 1.0 x"))
    else:
        found.append(figure(title, rates, "mails/s"))
        found.append(skipped(f"{title}: beside {_PEER}", mailpeers.missing_node() or ""))
    postal = [_POSTAL_PUBLISHED] * len(rates)
    against = "Postal, tuned, published (another machine)"
    found.append(
        figure(
            f"{title}: beside Postal",
            rates,
            "mails/s",
            peer=postal,
            against=against,
            goal=">= 10 x",
        )
    )
    imports = [leads / one.import_seconds for one in campaigns]
    found.append(figure(f"{title}: leads imported over HTTP", imports, "leads/s"))
    for part in campaigns[0].cpu:
        values = [one.cpu_us(part) for one in campaigns]
        found.append(figure(f"{title}: CPU of the {part}", values, "µs/mail"))
    shares = [one.database_share for one in campaigns]
    found.append(figure(f"{title}: the database's share of the CPU", shares, "%"))
    peaks = [max(one.peak_rss_mib.values()) for one in campaigns]
    found.append(figure(f"{title}: peak memory of a process", peaks, "MiB", goal="< 400"))
    return found


def _growth(few: Sequence[Campaign], many: Campaign) -> list[Figure]:
    title = f"end to end, {many.leads:,} leads beside {few[0].leads:,}"
    against = f"{few[0].leads:,} leads"
    costs, rss = [one.cpu_us() for one in few], [one.peak_rss_mib["dispatcher"] for one in few]
    n = len(few)
    return [
        figure(
            f"{title}: cost of a mail",
            [many.cpu_us()] * n,
            "µs/mail",
            peer=costs,
            against=against,
            goal="<= 1.15 x",
        ),
        figure(
            f"{title}: peak memory of the dispatcher",
            [many.peak_rss_mib["dispatcher"]] * n,
            "MiB",
            peer=rss,
            against=against,
            goal="< 400 MiB, <= 1.25 x",
        ),
        figure(
            f"{title}: rate",
            [many.rate] * n,
            "mails/s",
            peer=[o.rate for o in few],
            against=against,
        ),
    ]


def _stubbed(stubbed: Sequence[Campaign], real: Sequence[Campaign]) -> list[Figure]:
    title = f"end to end, {stubbed[0].leads:,} leads, database stubbed at the driver"
    rates = [one.rate for one in stubbed]
    peer = [one.rate for one in real]
    cpu = [one.cpu_us("dispatcher") for one in stubbed]
    return [
        figure(title, rates, "mails/s", peer=peer, against="the embedded database"),
        figure(f"{title}: CPU of the dispatcher and its stub", cpu, "µs/mail"),
    ]
