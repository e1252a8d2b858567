"""The ledger and the bus without SMTP, beside a ledger that updates a row per state.

Both find their batches made, as many at a time as a worker takes, and Python looks for cycles as seldom
as in the dispatcher: in a bench of many parts it would go through what the others have left.
"""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

import uvloop
from pymongo import UpdateOne, monitoring

from dispatcher.announcer import Announcer
from dispatcher.domain.identity import delivery_id
from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.group_commit import GroupCommit
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.store.batches import Batches
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.settlements import Settlements
from dispatcher.worker import WorkerLimits
from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.deliveries import EmailSent
from postfleet.garbage import collect_seldom
from postfleet.instants import from_ms, now_ms
from postfleet.mongo import Collection, Document, Mongo
from tests.bench.figures import Figure, figure
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

_GROUP = 50
_JOURNAL_REST = 0.01
_LANES = WorkerLimits("bench", lease_ms=30_000).concurrency


class _Statements(monitoring.CommandListener):
    """Counts what the driver sends."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Counted when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Counted when it started."""


_statements = _Statements()
monitoring.register(_statements)


def results(quick: bool) -> list[Figure]:
    collect_seldom()
    rounds, mails = (2, 5000) if quick else (5, 10_000)
    with (
        NatsServer() as nats,
        MongoServer() as mongo,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_measure(nats.url, mongo.url, rounds, mails))


async def _measure(nats_url: str, mongo_url: str, rounds: int, mails: int) -> list[Figure]:
    ops = Bus(nats_url, "ops")
    await ops.connect()
    await reconcile.apply(ops.jetstream)
    bus = Bus(nats_url, "dispatcher")
    await bus.connect()
    ours, cpu, statements, theirs = [], [], [], []
    for number in range(rounds):
        mongo = Mongo(mongo_url, "dispatcher", f"bench{number}_")
        before = _statements.count
        await _prepare(mongo)
        work = _batches(mails, f"a{number}")
        wall, used = await _timed(_appended(mongo, bus, work))
        statements.append((_statements.count - before) / mails * 100)
        ours.append(mails / wall)
        cpu.append(used / mails * 1e6)
        work = _batches(mails, f"b{number}")
        wall, _ = await _timed(_row_per_state(mongo, bus, work))
        theirs.append(mails / wall)
        await mongo.close()
    await bus.stop()
    await ops.stop()
    peer = "a row updated per state, in bulk"
    return [
        figure("ledger alone", ours, "deliveries/s", peer=theirs, against=peer, goal=">= 3 x"),
        figure("ledger and bus, client CPU", cpu, "µs/mail", goal="<= 60"),
        figure("database statements", statements, "per 100 mails", goal="<= 10"),
    ]


async def _prepare(mongo: Mongo) -> None:
    """Every ledger has its tables and indexes before the first mail; and both have the rows that
    people query, with the same indexes."""
    database = mongo.database
    for store in (
        Batches(database.batches),
        Settlements(database.settlements),
        Deliveries(database.deliveries),
        Deliveries(database.rows),
    ):
        await store.ensure_indexes()
    await database.attempts.insert_one({"_id": "first"})  # its key is its only index


async def _timed(work: Awaitable[None]) -> tuple[float, float]:
    """Seconds of wall clock and of this process's CPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    started, used = time.perf_counter(), usage.ru_utime + usage.ru_stime
    await work
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime - used


def _batches(mails: int, tag: str) -> list[Batch]:
    """`tag` makes them others than those of another round: an event said twice costs more.

    JetStream refuses a batch that has an id which it knows, and each goes alone.
    """
    origin = Origin("c", 0, "A", "s", "campaign")
    return [
        Batch(
            f"{tag}{start}",
            origin,
            tuple(
                Item(
                    delivery_id("c", f"{tag}lead{n}", 0), f"{tag}lead{n}", f"person{n}@people.test"
                )
                for n in range(start, start + _GROUP)
            ),
            now_ms(),
        )
        for start in range(0, mails, _GROUP)
    ]


def _settled(batch: Batch) -> list[Settled]:
    return [
        Settled(
            item,
            Outcome.ACCEPTED,
            now_ms(),
            message_id=f"<{item.delivery_id}@sender.test>",
            author="a@sender.test",
            mail_subject="Hello",
            reply_code=250,
            reply_text="2.0.0 OK",
        )
        for item in batch.items
    ]


async def _appended(mongo: Mongo, bus: Bus, work: Sequence[Batch]) -> None:
    """Batches, claims, attempts, settlements, events and rows, as the dispatcher writes them."""
    database, relaxed = mongo.database, mongo.relaxed
    batches, attempts = Batches(relaxed.batches), Attempts(database.attempts)
    settlements = Settlements(database.settlements, relaxed.settlements)
    deliveries = Deliveries(database.deliveries, relaxed.deliveries)
    announcer = Announcer(settlements, deliveries, bus)
    await batches.insert(work)

    async def claim(ids: Sequence[str]) -> Sequence[None]:
        await batches.claim(ids, "claim", "bench", 30_000)
        return [None] * len(ids)

    async def begin(groups: Sequence[Sequence[Attempt]]) -> Sequence[None]:
        await attempts.begin([one for group in groups for one in group])
        return [None] * len(groups)

    async def finish(claimed: Sequence[tuple[str, str]]) -> Sequence[None]:
        await batches.finish(claimed)
        return [None] * len(claimed)

    # Grouped as the worker and the journal of attempts group them.
    claims, finishes = GroupCommit(claim, limit=20), GroupCommit(finish, limit=50)
    begins = GroupCommit(begin, limit=16, rest=_JOURNAL_REST)

    async def run(batch: Batch) -> None:
        await claims.submit(batch.id)
        await begins.submit([Attempt(item.key, batch.id, "bench") for item in batch.items])
        await announcer.settle(batch, _settled(batch))
        await finishes.submit((batch.id, "claim"))

    await _in_lanes(work, run)


async def _row_per_state(mongo: Mongo, bus: Bus, work: Sequence[Batch]) -> None:
    """The usual way: one row a mail, moved through its states, its event in it until it is said.

    It waits for the disk where ours does, before the dot and when the server has answered. Each of its
    states is one statement for 50 rows: what all have in common one update_many, and what each mail has
    of its own (when it was begun, as in our attempts; what was answered) an update each, in bulk.
    """
    facts, rest = mongo.database.rows, mongo.relaxed.rows
    await rest.insert_many(
        [
            {"_id": item.delivery_id, "state": "scheduled", **_told_to_people(batch, item)}
            for batch in work
            for item in batch.items
        ],
        ordered=False,
    )

    async def move(rows: Collection, ids: Sequence[str], old: str, change: Document) -> None:
        guard = {"_id": {"$in": ids}, "state": old}
        await rows.update_many(guard, {"$set": change})

    async def run(batch: Batch) -> None:
        ids = [item.delivery_id for item in batch.items]
        await move(rest, ids, "scheduled", {"state": "claimed", "owner": "bench"})
        found = rest.find({"_id": {"$in": ids}}).limit(len(ids))
        mine = [row["_id"] async for row in found if row["owner"] == "bench"]
        begun = [
            UpdateOne(
                {"_id": id_, "state": "claimed"},
                {"$set": {"state": "transmitting", "by": "bench", "at": now_ms()}},
            )
            for id_ in mine
        ]
        await facts.bulk_write(begun, ordered=False)
        settled = _settled(batch)
        told = {one.item.delivery_id: _announcement(batch, one) for one in settled}
        answers = {one.item.delivery_id: _answer(one) for one in settled}
        accepted = [
            UpdateOne(
                {"_id": id_, "state": "transmitting"},
                {
                    "$set": {
                        "state": "accepted",
                        **answers[id_],
                        "outbox": told[id_].body().decode(),
                    }
                },
            )
            for id_ in mine
        ]
        await facts.bulk_write(accepted, ordered=False)
        await bus.publish_each(told.values())
        await move(rest, mine, "accepted", {"outbox": ""})

    await _in_lanes(work, run)


def _told_to_people(batch: Batch, item: Item) -> Document:
    """What is known of a delivery before it is sent, as in a row of ours."""
    return {
        **asdict(batch.origin),
        "lead_id": item.lead_id,
        "recipient": item.recipient,
        "batch_id": batch.id,
        "updated_at": batch.created_at,
    }


def _answer(one: Settled) -> Document:
    """What people are told of it afterwards, as in a row of ours."""
    return {
        "message_id": one.message_id,
        "author": one.author,
        "mail_subject": one.mail_subject,
        "reply_code": 250,
        "reply_text": one.reply_text,
        "accepted_at": one.at,
        "updated_at": one.at,
    }


def _announcement(batch: Batch, one: Settled) -> Announcement:
    event = EmailSent(
        occurred_at=from_ms(one.at),
        delivery_id=one.item.delivery_id,
        sender_id=batch.origin.sender_id,
        recipient=one.item.recipient,
        message_id=one.message_id,
        reply_code=250,
    )
    return Announcement(event, derived_id("peer", one.item.delivery_id))


async def _in_lanes(work: Sequence[Batch], run: Callable[[Batch], Awaitable[None]]) -> None:
    """As many batches at a time as a worker takes."""
    todo = list(reversed(work))

    async def lane() -> None:
        while todo:
            await run(todo.pop())

    await asyncio.gather(*(lane() for _ in range(_LANES)))
