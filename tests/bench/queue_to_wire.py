"""From the work queue to the wire, without a database: JetStream on disk, acks, jobs of 50 leads.

Ours sends for two seconds, so that subscribing and opening ten connections is a small part of it.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

import orjson

from postfleet.announcing import Message
from postfleet.bus import Bus
from postfleet.reconcile import apply
from tests.bench.clients import ClientFailed, Job, Run, nodemailer, python_peer, smtp_source
from tests.bench.figures import Figure, skipped
from tests.bench.rounds import Contest, ratio
from tests.bench.sink import Sink
from tests.support import mailpeers
from tests.support.natsserver import NatsServer

_CHUNK = 50
_YARDSTICK, _POOL = "smtp-source -d", "Nodemailer pool, ready bytes, no queue"
_PLAIN, _TRACKED = "ours", "ours, tracked links and a pixel"


def results(quick: bool) -> list[Figure]:
    if reason := Sink.missing():
        return [skipped("queue to wire", reason)]
    mailpeers.prepare()
    rounds, share = (3, 0.25) if quick else (5, 1.0)
    with Sink() as sink, NatsServer() as nats:
        asyncio.run(_streams(nats.url))
        clients: dict[str, Callable[[], Run]] = {
            _YARDSTICK: partial(smtp_source, Job(sink.port, 20_000), True),
            _PLAIN: partial(_ours, nats.url, sink.port, 60_000, ""),
            _TRACKED: partial(_ours, nats.url, sink.port, 30_000, "tracked"),
        }
        missing = {}
        if reason := mailpeers.missing_node():
            missing[_POOL] = reason
        else:
            job = Job(sink.port, int(2_000 * share))
            clients[_POOL] = partial(nodemailer(compose=False), job, True)
        contest = Contest("queue to wire", _YARDSTICK, clients, missing)
        runs = contest.run(rounds)
    found = contest.figures(runs, {_PLAIN: ">= 1.7 x"})
    if _POOL in runs and _PLAIN in runs:
        label = f"{contest.title}: ours beside Nodemailer's pool"
        found.append(ratio(label, runs[_PLAIN], runs[_POOL], _POOL, ">= 12 x"))
    return found


def _ours(nats_url: str, port: int, count: int, what: str) -> Run:
    """Fill the queue, then time the process that empties it."""
    count -= count % _CHUNK
    asyncio.run(_fill(nats_url, count))
    job = Job(port, count, username=nats_url, password=what)
    run = python_peer("queue_to_wire")(job, True)
    if left := asyncio.run(_left(nats_url)):
        raise ClientFailed(f"{left} jobs are on the queue still")
    return run


async def _streams(nats_url: str) -> None:
    bus = Bus(nats_url, "ops")
    await bus.connect()
    await apply(bus.jetstream)
    await bus.stop()


async def _fill(nats_url: str, count: int) -> None:
    bus = Bus(nats_url, "dispatcher")
    await bus.connect()
    tag = secrets.token_hex(8)
    failed = await bus.put(
        Message("job.send", f"{tag}-{start}", orjson.dumps({"leads": _leads(start)}))
        for start in range(0, count, _CHUNK)
    )
    await bus.stop()
    if failed:
        raise ClientFailed(f"{len(failed)} jobs were not confirmed")


def _leads(start: int) -> list[dict[str, str]]:
    return [
        {
            "id": f"{number:032x}",
            "email": f"person{number}@people.test",
            "first_name": f"Person {number}",
            "company": f"Company {number % 977}",
        }
        for number in range(start, start + _CHUNK)
    ]


async def _left(nats_url: str) -> int:
    """Jobs that nobody has acked; the last ack may still be on its way into the stream."""
    bus = Bus(nats_url, "ops")
    await bus.connect()
    left = 0
    for _ in range(50):
        left = (await bus.jetstream.stream_info("JOBS")).state.messages
        if not left:
            break
        await asyncio.sleep(0.1)
    await bus.stop()
    return left
