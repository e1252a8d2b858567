"""Two dispatchers share one durable: each sender event is heard by one of them only."""

from dispatcher.catalogue import Catalogue
from dispatcher.domain.identity import delivery_id, lead_id
from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.domain.outcomes import Outcome
from dispatcher.gate import Gate
from dispatcher.mail_gate import MailGate
from dispatcher.store.attachments import Attachments
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.leads import Leads
from dispatcher.store.messages import Messages
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from postfleet.instants import now_ms
from tests.unit.dispatcher.steps import KEYS, World, new_world
from tests.unit.dispatcher.test_planning import sender


def gate_of(world: World, senders: Senders) -> Gate:
    database = world.database
    suppressions = Suppressions(database.suppressions)
    messages = Messages(database.messages)
    return Gate(
        Catalogue(
            Campaigns(database.campaigns),
            Attachments(database.attachments),
            KEYS,
            "https://mail.example",
        ),
        senders,
        Leads(database.leads),
        suppressions,
        Deliveries(database.deliveries),
        MailGate(messages, senders, suppressions),
    )


def batch_for(sender_id: str) -> Batch:
    lead = lead_id("l0@x.test")
    item = Item(delivery_id("spring", lead, 0), lead, "l0@x.test")
    return Batch("b1", Origin("spring", 0, "A", sender_id, "campaign"), (item,), now_ms())


async def test_a_sender_that_another_replica_heard_of_may_send_at_once() -> None:
    world = await new_world(1)
    await Senders(world.database.senders).apply(sender("s9"))
    verdict = await gate_of(world, Senders(world.database.senders)).check(batch_for("s9"), now_ms())
    assert [item.recipient for item in verdict.allowed] == ["l0@x.test"]


async def test_a_sender_that_nobody_knows_may_not() -> None:
    world = await new_world(1)
    verdict = await gate_of(world, Senders(world.database.senders)).check(batch_for("s9"), now_ms())
    assert [one.outcome for one in verdict.settled] == [Outcome.SKIPPED]


async def test_reading_again_never_goes_back_in_revision() -> None:
    world = await new_world(1)
    ours = Senders(world.database.senders)
    await ours.apply(sender("s9", revision=4))
    await Senders(world.database.senders).apply(sender("s9", revision=5, suspended=True))
    await ours.load()
    known = ours.get("s9")
    assert known is not None
    assert known.suspended
    await world.database.senders.delete_many({})
    await Senders(world.database.senders).apply(sender("s9", revision=3))
    await ours.load()
    assert ours.get("s9") == known


async def test_a_suspension_that_another_replica_heard_of_counts_before_mail_goes() -> None:
    world = await new_world(1)
    ours = Senders(world.database.senders)
    await ours.apply(sender("s9", revision=4))
    await Senders(world.database.senders).apply(sender("s9", revision=5, suspended=True))
    verdict = await gate_of(world, ours).check(batch_for("s9"), now_ms())
    assert [one.outcome for one in verdict.settled] == [Outcome.POSTPONED]


async def test_a_campaigns_senders_are_looked_up_before_there_are_none() -> None:
    world = await new_world(1)
    ours = Senders(world.database.senders)
    assert await ours.find(("s9",)) == []
    await Senders(world.database.senders).apply(sender("s9", tags=("eu",)))
    assert [one.sender_id for one in await ours.find(("eu",))] == ["s9"]
