"""Tracker: events a second that one process counts, and keeps as deliveries and timelines.

Everything is real: the events are in JetStream, the database is the embedded one, and the consumer
is the service's own.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, Received
from postfleet.events.deliveries import EmailSent
from postfleet.events.event import Event
from postfleet.events.inbox import ReplyDetected
from postfleet.events.tracking import EmailClicked, EmailOpened, RecipientUnsubscribed, Verdict
from postfleet.mongo import Mongo
from postfleet.pull import PullLimits
from postfleet.reconcile import apply
from tests.bench.figures import Figure, figure
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import new_id, sent
from tracker.app import COUNTED
from tracker.destinations import Destinations
from tracker.domain.facts import OVERALL
from tracker.handlers import events as counting
from tracker.handlers import history
from tracker.store.campaigns import CampaignStore
from tracker.store.deliveries import DeliveryStore
from tracker.store.links import LinkStore
from tracker.store.people import PeopleStore
from tracker.store.statistics import StatisticsStore
from tracker.store.timelines import TimelineStore

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
SENDERS, CAMPAIGNS = 200, 5


def story(count: int) -> Iterator[Event]:
    """Mails of 200 senders over some hours; of ten, four are opened, one clicked, one answered."""
    choose = random.Random(1)
    told = 0
    while told < count:
        mail = sent(
            new_id(),
            campaign_id=f"campaign-{choose.randrange(CAMPAIGNS)}",
            sender_id=f"sender-{choose.randrange(SENDERS)}",
            variant=choose.choice("ab"),
            recipient=f"{new_id()}@{choose.choice(['gmail.com', 'example.org'])}",
            occurred_at=START + timedelta(milliseconds=told * 100),
        )
        facts = mail.model_dump(include=set(RecipientUnsubscribed.model_fields))
        human = Verdict.HUMAN
        yield mail
        told += 1
        for chance, cls, extra in (
            (0.4, EmailOpened, {"verdict": human, "first": True}),
            (0.1, EmailClicked, {"verdict": human, "first": True, "url": "https://a.test"}),
            (0.1, ReplyDetected, {"text": "Yes"}),
        ):
            if choose.random() < chance:
                yield cls(**facts, **extra)
                told += 1


class _Meter:
    """A handler that says when so many events have been handled."""

    def __init__(self, handler: Callable[[list[Received[Event]]], Awaitable[None]], n: int) -> None:
        self._handler, self._left, self.done = handler, n, asyncio.Event()

    async def __call__(self, batch: list[Received[Event]]) -> None:
        await self._handler(batch)
        self._left -= len(batch)
        if self._left <= 0:
            self.done.set()


async def _consume(nats_url: str, durable: str, handler: Any, n: int, limits: PullLimits) -> float:
    """Events a second from the first pull to the last event handled."""
    bus = Bus(nats_url, "tracker")
    meter = _Meter(handler, n)
    bus.consume_batches(durable, meter, limits)
    await bus.connect()
    started = time.perf_counter()
    await bus.start()
    async with asyncio.timeout(300):
        await meter.done.wait()
    took = time.perf_counter() - started
    await bus.stop()
    return n / took


async def _round(n: int) -> tuple[float, float]:
    with NatsServer() as nats, MongoServer() as server:
        mongo = Mongo(server.url, "tracker")
        database = mongo.database
        publisher = Bus(nats.url, "dispatcher")
        await publisher.connect()
        await apply(publisher.jetstream)
        told = list(story(n))
        await publisher.publish(*(Announcement(event) for event in told))
        links, figures = LinkStore(database), StatisticsStore(database)
        deliveries, timelines = DeliveryStore(database), TimelineStore(database)
        for store in (links, figures, deliveries, timelines):
            await store.ensure_indexes()
        count = counting.EventHandler(
            Destinations(links.get), links, CampaignStore(database), figures
        )
        counted = await _consume(nats.url, counting.DURABLE, count, len(told), COUNTED)
        overall = await figures.counter(OVERALL)
        expected = sum(isinstance(event, EmailSent) for event in told)
        assert overall is not None
        assert overall["sent"] == expected, (overall, expected)
        keep = history.HistoryHandler(deliveries, timelines, PeopleStore(database))
        kept = await _consume(nats.url, history.DURABLE, keep, len(told), PullLimits())
        await publisher.stop()
        await mongo.close()
        return counted, kept


def results(quick: bool) -> list[Figure]:
    n, rounds = (5_000, 1) if quick else (15_000, 5)
    rates = [asyncio.run(_round(n)) for _ in range(rounds)]
    return [
        figure(
            "tracker: events counted by one process",
            [counted for counted, _ in rates],
            "events/s",
            goal=">= 5000",
        ),
        figure(
            "tracker: events kept as deliveries and timelines by one process",
            [kept for _, kept in rates],
            "events/s",
        ),
    ]
