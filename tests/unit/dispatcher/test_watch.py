"""Campaigns and shared factors that their own figures stop: once, with a reason, and on again by hand."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dispatcher.brakes import Brakes
from dispatcher.domain.auto_pause import PauseRules
from dispatcher.domain.blast_radius import BlastRules
from dispatcher.domain.breaker import BreakerRules
from dispatcher.domain.campaigns import Campaign, CampaignState, Step, Variant
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.pacing import PaceRules
from dispatcher.store.breakers import Breakers
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.paces import Paces
from dispatcher.store.pauses import Pauses
from dispatcher.store.senders import Senders
from dispatcher.store.sights import Sights
from dispatcher.watch import Relays, Watch, WatchRules
from postfleet.instants import now_ms
from postfleet.outbox import OutboxRelay
from tests.unit.dispatcher.test_planning import sender

CAMPAIGN = Campaign(
    id="spring",
    name="Spring",
    senders=("fleet.test",),
    steps=(Step(timedelta(0), (Variant("A", "Hello", body_text="Hi"),)),),
    postal_address="1 Main St",
)
RELAY = cast(OutboxRelay, SimpleNamespace(wake=lambda: None))


class World:
    def __init__(self, database: Any) -> None:
        self.database = database
        self.campaigns = Campaigns(database.campaigns)
        self.deliveries = Deliveries(database.deliveries)
        self.senders, self.pauses = Senders(database.senders), Pauses(database.pauses)
        self.sights = Sights(database.sights)
        self.watch, self.other = self.replica(), self.replica()

    def replica(self) -> Watch:
        return Watch(
            campaigns=self.campaigns,
            deliveries=self.deliveries,
            senders=self.senders,
            sights=self.sights,
            pauses=self.pauses,
            relays=Relays(RELAY, RELAY),
            rules=WatchRules(PauseRules(), BlastRules(), 1),
        )

    def brakes(self) -> Brakes:
        return Brakes(
            paces=Paces(self.database.paces, PaceRules()),
            breakers=Breakers(self.database.breakers, BreakerRules()),
            pauses=self.pauses,
            senders=self.senders,
            destination_of=lambda address: address.rpartition("@")[2],
            saw=self.watch.saw,
        )

    async def start(self) -> None:
        await self.campaigns.insert(CAMPAIGN, [])
        await self.campaigns.move(CAMPAIGN, CampaignState.RUNNING, [])

    async def campaign(self) -> Campaign:
        found = await self.campaigns.get("spring")
        assert found
        return found

    async def sent(self, count: int, first: int = 0, **marks: int) -> None:
        origin = Origin("spring", 0, "A", "s1", "campaign")
        rows = [
            (
                "b",
                origin,
                Settled(Item(f"d{n}", f"l{n}", f"{n}@x.test"), Outcome.ACCEPTED, now_ms()),
            )
            for n in range(first, first + count)
        ]
        await self.deliveries.write(rows)
        for _, _, settled in rows if marks else ():
            await self.deliveries.mark(settled.item.delivery_id, marks)

    async def look(self) -> str:
        self.watch.concern("spring")
        await self.watch.look()
        return (await self.campaign()).state.value

    async def said(self, collection: Any, subject: str) -> list[str]:
        found = [document async for document in collection.find({}).limit(100)]
        entries = [entry for document in found for entry in document.get("outbox", {}).values()]
        return [entry["body"] for entry in entries if entry["subject"] == subject]


@pytest.fixture
async def world(database: Any) -> World:
    made = World(database)
    await made.start()
    return made


@pytest.mark.seed("S195")
async def test_a_campaign_above_five_percent_pauses_with_the_figures_and_says_so_once(
    world: World,
) -> None:
    await world.sent(19)
    await world.sent(1, first=19, bounced_at=now_ms())
    assert await world.look() == "running"  # exactly 5 %
    await world.deliveries.mark("d18", {"bounced_at": now_ms()})
    await world.deliveries.mark("d18", {"bounced_at": now_ms()})  # told twice, counted once
    assert await world.look() == "paused"
    assert await world.look() == "paused"
    (body,) = await world.said(world.database.campaigns, "campaign.paused")
    assert '"by":"hard_bounces"' in body
    assert "hard bounces: 2 of 20 mails, 10.00%" in body


@pytest.mark.seed("S195")
async def test_who_resumes_is_not_paused_again_by_the_old_figures_but_by_new_ones(
    world: World,
) -> None:
    past = now_ms()
    await world.sent(30, bounced_at=past)
    assert await world.look() == "paused"
    await world.database.deliveries.update_many({}, {"$set": {"updated_at": past - 1000}})
    await world.campaigns.move(await world.campaign(), CampaignState.RUNNING, [])
    await world.deliveries.mark("d3", {"bounced_at": now_ms()})  # a late DSN of an old mail
    assert await world.look() == "running"
    await world.sent(30, first=100, bounced_at=now_ms())
    assert await world.look() == "paused"


async def test_a_concern_waits_until_there_are_mails_enough_to_judge(world: World) -> None:
    await world.sent(10, bounced_at=now_ms())
    assert await world.look() == "running"
    await world.sent(10, first=10)
    await world.watch.look()  # nobody is concerned anew
    assert (await world.campaign()).state is CampaignState.PAUSED


async def test_complaints_warn_once_for_each_start_and_then_stop(world: World) -> None:
    await world.sent(999)
    await world.sent(1, first=999, complained_at=now_ms())
    assert await world.look() == "running"
    assert await world.look() == "running"
    (warning,) = await world.said(world.database.campaigns, "campaign.warned")
    assert "complaints: 1 of 1000 mails, 0.10%; the warning begins at 0.1%" in warning
    for name in ("d1", "d2"):
        await world.deliveries.mark(name, {"complained_at": now_ms()})
    assert await world.look() == "paused"


async def test_a_restart_looks_at_every_running_campaign(world: World) -> None:
    await world.sent(30, bounced_at=now_ms())
    import asyncio

    from postfleet.tasks import end

    running = asyncio.create_task(world.replica().run())
    for _ in range(500):
        if (await world.campaign()).state is CampaignState.PAUSED:
            break
        await asyncio.sleep(0.01)
    await end(running)
    assert (await world.campaign()).state is CampaignState.PAUSED


# -- factors -----------------------------------------------------------------------------------------


async def fleet(world: World, domain: str, names: Sequence[str]) -> None:
    for name in names:
        await world.senders.apply(sender(name, domain=domain, provider="GOOGLE"))


def tries(watch: Watch, name: str, count: int, category: str = "", template: str = "A") -> None:
    for number in range(count):
        origin = Origin("spring", 0, template, name, "campaign")
        outcome = Outcome.FAILED if category else Outcome.ACCEPTED
        fault = "sender" if category else ""
        item = Item(f"{name}{number}", "l", "jo@x.test")
        watch.saw(origin, Settled(item, outcome, now_ms(), meaning=category, fault=fault))


async def blocked_domain(world: World) -> None:
    await fleet(world, "bad.test", ["b1", "b2", "b3"])
    await fleet(world, "good.test", ["g1", "g2", "g3"])
    for name in ("g1", "g2", "g3"):
        tries(world.watch, name, 10)
    tries(world.watch, "b1", 10, "reputation")
    tries(world.other, "b2", 10, "reputation")  # each replica has seen a part of it
    tries(world.other, "b3", 10, "reputation")
    await world.watch.look()
    await world.other.look()
    await world.watch.look()


async def test_a_domain_whose_senders_degrade_together_is_paused_and_named_in_one_event(
    world: World,
) -> None:
    await blocked_domain(world)
    (pause,) = await world.pauses.page(None, 10)
    assert (pause.factor.kind, pause.factor.value) == ("domain", "bad.test")
    assert pause.senders == ("b1", "b2", "b3")
    (body,) = await world.said(world.database.pauses, "factor.paused")
    assert "3 of 3 senders that share the domain bad.test degrade together" in body


async def test_nothing_goes_through_a_paused_factor_until_it_is_resumed(world: World) -> None:
    await blocked_domain(world)
    brakes, items = world.brakes(), [Item("d", "l", "jo@x.test")]
    await brakes.refresh()
    bad, good = (Origin("spring", 0, "A", name, "campaign") for name in ("b1", "g1"))
    held = await brakes.hold(bad, items, now_ms())
    assert not held.allowed
    assert held.waiting[0].reason.startswith("waits: domain bad.test is paused: 3 of 3")
    assert (await brakes.hold(good, items, now_ms())).allowed == items
    bars = [brakes.bar(one, now_ms()) for name in ("b1", "g1") if (one := world.senders.get(name))]
    assert ["is paused" in bar for bar in bars] == [True, False]
    (pause,) = await world.pauses.page(None, 10)
    assert await world.pauses.resume(pause.factor.id, now_ms())
    assert not await world.pauses.resume(pause.factor.id, now_ms())
    await brakes.refresh()
    assert (await brakes.hold(bad, items, now_ms())).allowed == items
    await world.watch.look()
    assert not await world.pauses.active(), "old evidence pauses nothing again"
    assert len(await world.said(world.database.pauses, "factor.resumed")) == 1


async def test_a_template_that_is_refused_everywhere_is_paused_and_the_others_go_on(
    world: World,
) -> None:
    for number in range(4):
        await fleet(world, f"d{number}.test", [f"s{number}"])
        tries(world.watch, f"s{number}", 20)
        tries(world.watch, f"s{number}", 9, "spam", template="B")
    # spam is the content's fault, whatever the sender
    for _place, (_, troubles) in world.watch._new.items():
        assert all(trouble.value == "content" for trouble in troubles)
    await world.watch.look()
    (pause,) = await world.pauses.page(None, 10)
    assert (pause.factor.kind, pause.factor.value) == ("template", "spring:0:B")
