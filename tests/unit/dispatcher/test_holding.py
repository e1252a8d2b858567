"""After a restore nothing goes that may have gone already: the stores, an announcer, no server."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import CampaignState
from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.doubt import Doubt
from dispatcher.holding import Holding
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.store.batches import Batches
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.messages import Messages
from dispatcher.store.restored import Restored
from dispatcher.store.senders import Senders
from dispatcher.store.settlements import Settlements, settlement
from postfleet.bus import Bus
from postfleet.instants import now_ms
from tests.unit.dispatcher.test_watch import CAMPAIGN

ORIGIN = Origin(CAMPAIGN.id, 0, "A", "s1", "campaign")


def _batch(name: str, count: int) -> Batch:
    items = tuple(Item(f"{name}{n}", f"lead-{name}{n}", f"{name}{n}@x.test") for n in range(count))
    return Batch(name, ORIGIN, items, now_ms() - 1000)


class World:
    """A ledger as a backup left it: one batch is ready, one half sent, one done."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.campaigns, self.batches = Campaigns(database.campaigns), Batches(database.batches)
        self.attempts, self.settlements = (
            Attempts(database.attempts),
            Settlements(database.settlements),
        )
        self.deliveries = Deliveries(database.deliveries)
        self.subjects: list[str] = []
        announcer = Announcer(self.settlements, self.deliveries, cast(Bus, self._bus()))
        doubt = Doubt(
            batches=self.batches,
            attempts=self.attempts,
            settlements=self.settlements,
            senders=Senders(database.senders),
            messages=Messages(database.messages),
            message_id_key=b"k" * 32,
        )
        restored = Restored(database.restored)
        self.holding = Holding(
            restored, self.campaigns, self.batches, self.attempts, doubt, announcer
        )

    def _bus(self) -> SimpleNamespace:
        async def publish_each(said: Any) -> dict[str, Exception]:
            self.subjects += [one.subject for one in said]
            return {}

        return SimpleNamespace(publish_each=publish_each, service="dispatcher")

    async def fill(self) -> None:
        await self.campaigns.insert(CAMPAIGN, [])
        await self.campaigns.move(CAMPAIGN, CampaignState.RUNNING, [])
        ready, half = _batch("ready", 2), _batch("half", 3)
        await self.batches.insert([ready, half])
        await self.batches.claim(["half"], "theirs", "a worker that is gone", 3_600_000)
        keys = [item.key for item in half.items[:2]]
        await self.attempts.begin([Attempt(key, "half", "theirs") for key in keys])
        accepted = Settled(half.items[0], Outcome.ACCEPTED, now_ms(), message_id="<x@x.test>")
        told = settlement(half, [accepted])
        await self.settlements.insert([told])

    async def states(self) -> dict[str, str]:
        ids = ["ready0", "ready1", "half0", "half1", "half2"]
        return {id_: row.state for id_, row in (await self.deliveries.get_many(ids)).items()}


@pytest.fixture
def world(database: Any) -> World:
    return World(database)


async def test_campaigns_are_paused_and_every_mail_of_an_open_batch_is_in_doubt(
    world: World,
) -> None:
    await world.fill()
    note = {"_id": "hold", "state": "asked", "backup_at": "2026-11-21T12:00:00+00:00"}
    await world.database.restored.insert_one(note)
    await world.holding.at_start()
    campaign = await world.campaigns.get(CAMPAIGN.id)
    assert campaign
    assert campaign.state is CampaignState.PAUSED
    unknown = dict.fromkeys(["ready0", "ready1", "half1", "half2"], "unknown")
    assert await world.states() == unknown, "half0 was accepted, and is no doubt"
    assert not await world.batches.any_open(CAMPAIGN.id), "nobody sends what is left of them"
    assert world.subjects.count("email.unknown") == 4
    await world.campaigns.move(campaign, CampaignState.RUNNING, [])
    await world.holding.at_start()
    again = await world.campaigns.get(CAMPAIGN.id)
    assert again
    assert again.state is CampaignState.RUNNING, "once: whoever resumed it has looked"


async def test_without_a_restore_a_start_holds_nothing(world: World) -> None:
    await world.fill()
    await world.holding.at_start()
    campaign = await world.campaigns.get(CAMPAIGN.id)
    assert campaign
    assert campaign.state is CampaignState.RUNNING
    assert await world.batches.any_open(CAMPAIGN.id)
    assert not await world.states()
