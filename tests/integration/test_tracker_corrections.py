"""What is known later corrects what was said: every figure follows, to the unit, whatever crashes."""

import random
from collections import Counter as Tally
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postfleet.cloudevents import Received, parse
from postfleet.events.event import Event
from postfleet.events.tracking import Verdict
from postfleet.mongo import Mongo
from tests.integration.test_tracker_statistics import Crash, Fuse, FusedDatabase
from tests.support.mongo import MongoServer
from tests.support.tracker import new_id, sent
from tracker.corrections import Corrector
from tracker.destinations import Destinations
from tracker.domain.corrections import KeptHit, judge_again
from tracker.domain.deliveries import Delivery, delivery_of
from tracker.domain.hits import Hit, HitKind
from tracker.domain.networks import Networks, network_of, read_networks
from tracker.domain.verdicts import Judgement
from tracker.handlers.events import EventHandler
from tracker.handlers.hits import HitHandler
from tracker.rescoring import Rescoring
from tracker.store.campaigns import CampaignStore
from tracker.store.deliveries import DeliveryStore
from tracker.store.hits import HitStore
from tracker.store.links import Link, LinkStore
from tracker.store.people import PeopleStore
from tracker.store.rescores import Order, Rescores, shown
from tracker.store.standings import Standings
from tracker.store.statistics import StatisticsStore

START = datetime(2026, 11, 20, 22, tzinfo=UTC)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
LINKS = {"a" * 16: False, "b" * 16: False, "c" * 16: False, "d" * 16: True}
NOBODYS = Networks()
SCANNERS = Networks(
    read_networks("network,name,kind,source,as_of\n198.51.100.0/24,scanner,bot,x,2026-11-21")
)
_LATER = "2026-11-30"


class World:
    """The tracker's stores and handlers on one database; `fuse` ends them at a write."""

    def __init__(self, database: Any, networks: Networks, fuse: Fuse | None = None) -> None:
        self.database = database
        used = FusedDatabase(database, fuse) if fuse else database
        self.deliveries, self.links = DeliveryStore(used), LinkStore(used)
        self.corrector = Corrector(HitStore(used), Standings(used), self.links, networks)
        self.people, self.orders = PeopleStore(used), Rescores(used)
        self.handler = HitHandler(
            None,
            self.corrector,
            self.deliveries,
            self.people,
            (),
            _never,  # type: ignore[arg-type]
        )
        self.rescoring = Rescoring(self.orders, self.corrector, self.deliveries, _Relay())  # type: ignore[arg-type]

    async def take(self, hits: list[Hit]) -> None:
        await self.handler.record(list((await self.handler.judge(hits)).values()))

    async def said(self) -> list[Received[Event]]:
        """All events in the outboxes: nobody has published them."""
        found = []
        for name in ("hits", "firsts"):
            async for document in self.database[name].find({}).limit(100_000):
                for id_, entry in document.get("outbox", {}).items():
                    event = parse(entry["subject"], {}, entry["body"].encode())
                    found.append(Received(event, id_))
        return found


class _Relay:
    def wake(self) -> None:
        """Nothing is published here."""


async def _never() -> bool:
    return False


@pytest.fixture
async def database(mongo_server: MongoServer) -> AsyncIterator[Any]:
    mongo = Mongo(mongo_server.url, "tracker", f"{mongo_server.prefix}{new_id()[:6]}_")
    await HitStore(mongo.database).ensure_indexes()
    await StatisticsStore(mongo.database).ensure_indexes()
    links = {id_: Link(f"https://example.com/{id_}", canary) for id_, canary in LINKS.items()}
    await LinkStore(mongo.database).add(links, "spring", 1)
    yield mongo.database
    await mongo.close()


async def _send(database: Any, choose: random.Random, mails: int) -> dict[str, Delivery]:
    told = [
        sent(
            f"{choose.getrandbits(128):032x}",
            campaign_id=choose.choice(["spring", "autumn"]),
            occurred_at=START + timedelta(minutes=20 * number),
        )
        for number in range(mails)
    ]
    deliveries = {mail.delivery_id: delivery_of(mail) for mail in told}
    await DeliveryStore(database).doubt(list(deliveries.values()))
    return deliveries


def _hits(choose: random.Random, delivery: Delivery) -> list[Hit]:
    """Some opens and clicks of a mail, close together and hours apart."""
    hits = []
    for _ in range(choose.randint(0, 6)):
        kind = choose.choice([HitKind.OPENED, HitKind.CLICKED, HitKind.CLICKED])
        link = choose.choice(sorted(LINKS)) if kind is HitKind.CLICKED else ""
        gap = choose.choice([1_000, 4_000, 30_000, 4_000_000]) * choose.random()
        hits.append(
            Hit(
                kind,
                delivery.delivery_id,
                delivery.sent_ms + 3_000 + int(gap * choose.randint(1, 9)),
                link_id=link,
                ip=choose.choice(["198.51.100.7", "192.0.2.1", "192.0.2.2"]),
                user_agent=choose.choice([CHROME, CHROME, CHROME, "curl/8"]),
                headers={"accept": "*/*"},
                id=f"{choose.getrandbits(128):032x}",
            )
        )
    return hits


def _recount(
    hits: list[Hit], deliveries: dict[str, Delivery], networks: Networks
) -> dict[str, Tally[str]]:
    """The figures by another road: all hits of a delivery judged at once, sets of who has a human."""
    humans: dict[str, Tally[str]] = {"overall": Tally()}
    for delivery in deliveries.values():
        kept = [
            KeptHit(
                hit,
                Judgement(Verdict.HUMAN, ""),
                place=network_of(hit.ip),
                canary=LINKS.get(hit.link_id, False),
            )
            for hit in hits
            if hit.delivery_id == delivery.delivery_id
        ]
        changed = judge_again(kept, delivery.sent_ms, networks, everything=True)
        machines = {change.before.hit.id for change in changed}
        for kind in {k.hit.kind for k in kept if k.hit.id not in machines}:
            for scope in ("overall", f"campaign:{delivery.campaign_id}"):
                humans.setdefault(scope, Tally())[kind.value] += 1
    return humans


async def _figures(database: Any, choose: random.Random, world: World) -> dict[str, Tally[str]]:
    """What a new consumer counts that hears everything, some of it twice, in any order."""
    events = await world.said()
    heard = [*events, *(event for event in events if choose.random() < 0.3)]
    choose.shuffle(heard)
    other = database.client[f"{database.name}_{new_id()[:6]}"]
    links, statistics = LinkStore(other), StatisticsStore(other, fold_at=25, pack_at=1)
    handler = EventHandler(Destinations(links.get), links, CampaignStore(other), statistics)
    while heard:
        size = choose.randint(1, 40)
        await handler(heard[:size])
        heard = heard[size:]
    days = await statistics.of_scope("day")
    found = [d for s in ("overall", "campaign") for d in await statistics.of_scope(s)]
    figures = {d["_id"]: Tally({k: d[k] for k in ("opened", "clicked") if d.get(k)}) for d in found}
    for kind in ("opened", "clicked"):
        assert sum(d.get(kind, 0) for d in days) == figures.get("overall", Tally())[kind]
        assert all(d.get(kind, 0) >= 0 for d in days)
    return {scope: tally for scope, tally in figures.items() if tally or scope == "overall"}


async def _take_with_crashes(database: Any, choose: random.Random, hits: list[Hit]) -> None:
    waiting = [*hits, *(hit for hit in hits if choose.random() < 0.3)]
    choose.shuffle(waiting)
    while waiting:
        batch, waiting = waiting[: choose.randint(1, 15)], waiting[choose.randint(1, 15) :]
        while choose.random() < 0.3:
            fuse = Fuse(choose.randint(1, 8), after=choose.random() < 0.5)
            try:
                await World(database, NOBODYS, fuse).take(batch)
            except Crash:
                continue
        await World(database, NOBODYS).take(batch)


async def _rescore(world: World, *, dry_run: bool = False) -> dict[str, Any]:
    order = Order(new_id(), 0, 10**15, dry_run=dry_run)
    await world.orders.add(order, 1)
    claimed = await world.orders.claim(2, 60_000)
    assert claimed is not None
    await world.rescoring.carry_out(claimed)
    found = await world.orders.get(order.id)
    assert found is not None
    return shown(found)


@pytest.mark.seed("S178", "S179")
@pytest.mark.parametrize("seed", range(5))
async def test_bursts_and_hidden_links_correct_earlier_hits_to_the_unit(
    database: Any, seed: int
) -> None:
    choose = random.Random(seed)
    deliveries = await _send(database, choose, 25)
    hits = [hit for delivery in deliveries.values() for hit in _hits(choose, delivery)]
    for start in range(0, len(hits), 3):  # every hit is known when the last of them has come
        await World(database, NOBODYS).take(hits[start : start + 3])
    world = World(database, NOBODYS)
    assert await _figures(database, choose, world) == _some(_recount(hits, deliveries, NOBODYS))
    again = await _rescore(world)
    assert (again["changed"], again["opened"], again["clicked"]) == (0, 0, 0)


def _some(figures: dict[str, Tally[str]]) -> dict[str, Tally[str]]:
    return {scope: +tally for scope, tally in figures.items()}


@pytest.mark.parametrize("seed", range(5))
async def test_rescoring_corrects_to_the_unit_over_crashes_and_redelivery(
    database: Any, seed: int
) -> None:
    choose = random.Random(100 + seed)
    deliveries = await _send(database, choose, 20)
    hits = [hit for delivery in deliveries.values() for hit in _hits(choose, delivery)]
    await _take_with_crashes(database, choose, hits)
    kept = {d["_id"] async for d in database.hits.find({}).limit(10_000)}
    hits = [hit for hit in hits if hit.id in kept]
    for networks in (NOBODYS, SCANNERS, NOBODYS):  # there, and all the way back
        order = Order(new_id(), 0, 10**15)
        await World(database, networks).orders.add(order, 1)
        for _ in range(choose.randint(0, 4)):
            fuse = Fuse(choose.randint(1, 12), after=choose.random() < 0.5)
            try:
                await World(database, networks, fuse).rescoring.carry_out(order)
            except Crash:
                continue
        world = World(database, networks)
        await world.rescoring.carry_out(order)
        assert await _figures(database, choose, world) == _some(
            _recount(hits, deliveries, networks)
        )
        for document in [d async for d in database.hits.find({}).limit(10_000)]:
            place = networks.find(document["network"])
            assert place is None or document["verdict"] == "bot"


async def test_a_dry_run_tells_what_the_real_one_does_and_writes_nothing(database: Any) -> None:
    choose = random.Random(4)
    deliveries = await _send(database, choose, 30)
    hits = [hit for delivery in deliveries.values() for hit in _hits(choose, delivery)]
    await World(database, NOBODYS).take(hits)
    world = World(database, SCANNERS)
    before = [d async for d in database.hits.find({}).limit(10_000)]
    told = await _rescore(world, dry_run=True)
    assert [d async for d in database.hits.find({}).limit(10_000)] == before
    assert told["verdicts"]["human -> bot"] > 0
    assert told["opened"] < 0
    done = await _rescore(world)
    for name in ("hits", "changed", "verdicts", "opened", "clicked"):
        assert done[name] == told[name], name
    assert (await _rescore(world))["changed"] == 0


async def test_only_the_campaign_and_the_time_that_were_asked_for_are_judged_again(
    database: Any,
) -> None:
    choose = random.Random(9)
    deliveries = await _send(database, choose, 12)
    hits = [
        Hit(HitKind.OPENED, id_, d.sent_ms + 60_000, ip="198.51.100.7", user_agent=CHROME)
        for id_, d in deliveries.items()
    ]
    await World(database, NOBODYS).take(hits)
    world = World(database, SCANNERS)
    middle = sorted(hit.at_ms for hit in hits)[6]
    await world.rescoring.carry_out(Order("one", middle, 10**15, "spring", cursor_ms=middle))
    async for document in database.hits.find({}).limit(100):
        delivery = deliveries[document["delivery_id"]]
        asked_for = document["at_ms"] >= middle and delivery.campaign_id == "spring"
        assert document["verdict"] == ("bot" if asked_for else "human")
