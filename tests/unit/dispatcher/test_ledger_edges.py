"""The ledger's edges: facts nobody can announce, batches that always fail, late evidence, forgetting."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.retries import batch_wait_seconds
from dispatcher.domain.suppression import Kind
from dispatcher.evidence import Evidence
from dispatcher.revival import Revival
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.store.batches import Batches, batch_of
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.erasure import Erasure, StillOpen
from dispatcher.store.leads import Leads
from dispatcher.store.retention import Retention
from dispatcher.store.settlements import Settlements, settlement
from dispatcher.store.suppressions import Suppressions
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.outbox import OutboxRelay
from postfleet.secrets import KeyRing
from postfleet.tokens import TokenKeys
from tests.unit.dispatcher import steps

ORIGIN = Origin("spring", 0, "A", "s1", "campaign")
_KEYS = TokenKeys(KeyRing.parse(KeyRing.generate()))
BAD = Origin("spring", 0, "A", "s1", "no such category")


def batch(name: str, origin: Origin = ORIGIN) -> Batch:
    return Batch(name, origin, (Item(f"d-{name}", f"l-{name}", f"{name}@x.test"),), now_ms())


def accepted(one: Batch) -> Settled:
    return Settled(one.items[0], Outcome.ACCEPTED, now_ms(), message_id=f"<{one.id}@x.test>")


class Said:
    service = "dispatcher"

    def __init__(self) -> None:
        self.events: list[Announcement] = []

    async def publish_each(self, events: list[Announcement]) -> dict[str, Exception]:
        self.events += events
        return {}


async def test_a_fact_that_no_event_can_carry_stops_no_other(database: Any) -> None:
    settlements, deliveries = Settlements(database.settlements), Deliveries(database.deliveries)
    said = Said()
    announcer = Announcer(settlements, deliveries, cast(Bus, said))
    good, bad = batch("good"), batch("bad", BAD)
    await settlements.insert([settlement(one, [accepted(one)]) for one in (bad, good)])
    assert await announcer.sweep(grace_ms=0) == 2
    assert [event.event.aggregate_id for event in said.events] == ["d-good"]
    assert set(await deliveries.get_many(["d-good", "d-bad"])) == {"d-good", "d-bad"}
    assert await announcer.sweep(grace_ms=0) == 0, "it is not tried for ever"
    (aside,) = [d async for d in database.settlements.find({"state": "unsayable"}).limit(9)]
    assert aside["batch_id"] == "bad"


async def test_evidence_that_comes_after_the_hold_still_settles_and_the_lead_goes_on(
    database: Any,
) -> None:
    settlements, deliveries = Settlements(database.settlements), Deliveries(database.deliveries)
    leads = Leads(database.leads)
    announcer = Announcer(settlements, deliveries, cast(Bus, Said()))
    went_on: list[tuple[str, int]] = []

    async def go_on(campaign_id: str, count: int) -> None:
        went_on.append((campaign_id, count))

    evidence = Evidence(deliveries, leads, announcer, go_on)
    await leads.add("spring", [LeadRow(1, "jo@x.test")])
    (lead,) = await leads.page("spring", None, 5)
    one = Batch("b", ORIGIN, (Item("d", lead.lead_id, "jo@x.test"),), now_ms())
    await announcer.settle(one, [Settled(one.items[0], Outcome.UNKNOWN, now_ms())])
    row = await deliveries.get("d")
    assert row
    await evidence.hold(row)
    held = await deliveries.get("d")
    assert held
    assert held.state == "skipped"
    await evidence.arrived(held, "a reply")
    settled = await deliveries.get("d")
    assert settled
    assert settled.state == "accepted"
    (found,) = await leads.due("spring", now_ms(), 5)
    assert found.state is LeadState.ACTIVE
    assert went_on == [("spring", 1)]
    await evidence.arrived(settled, "a reply")
    assert len(went_on) == 2, "we may have died before the lead went on"
    await leads.end([found.key], LeadState.FINISHED)
    await evidence.arrived(settled, "a second reply")
    assert len(went_on) == 2


async def test_what_is_done_is_forgotten_and_what_is_not_said_or_not_done_is_kept(
    database: Any,
) -> None:
    batches, attempts = Batches(database.batches), Attempts(database.attempts)
    settlements = Settlements(database.settlements)
    names = ["done", "unsaid", "open"]
    made = [batch(name) for name in names]
    await batches.insert(made)
    await attempts.begin([Attempt(one.items[0].key, one.id, "me") for one in made])
    facts = [settlement(one, [accepted(one)]) for one in made[:2]]
    await settlements.insert(facts)
    await settlements.mark_announced([facts[0].id])
    for name in names[:2]:
        assert await batches.claim([name], "c", "me", 1000)
        await batches.finish([(name, "c")])
    retention = Retention(database.batches, database.attempts, database.settlements)
    assert await retention.forget(now_ms() - 60_000) == 0, "too young"
    assert await retention.forget(now_ms() + 60_000) == 1
    left = {
        name: [d["_id"] async for d in database[name].find({}).limit(9)]
        for name in ("batches", "attempts", "settlements")
    }
    assert sorted(left["batches"]) == ["open", "unsaid"]
    assert sorted(left["attempts"]) == ["d-open:1", "d-unsaid:1"]
    assert left["settlements"] == [facts[1].id]
    job_comes_late = await batches.claim(["done"], "c2", "me", 1000)
    assert job_comes_late == {}


def test_a_batch_that_fails_rests_longer_each_time_and_is_given_up_at_last() -> None:
    waits = [batch_wait_seconds(n) for n in range(1, 9)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, None]


async def test_a_batch_that_always_fails_is_settled_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await steps.new_world(1)
    life = steps.Life(world, "one")
    monkeypatch.setattr(life, "step", _at_once)
    one = Batch("b", ORIGIN, (Item("d", "l", "l0@x.test"),), now_ms())
    await Batches(world.database.batches).insert([one])

    async def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(life.worker, "_gate", SimpleNamespace(check=broken))
    for _ in range(8):
        await world.database.batches.update_many({}, {"$set": {"created_at": 1}})
        await life.worker._claim_and_run(one)
    stored = await world.database.batches.find_one({"_id": "b"})
    assert (stored["state"], stored["failures"]) == ("done", 8)
    row = await world.database.deliveries.find_one({"_id": "d"})
    assert row["state"] == "skipped"
    assert row["reason"] == "its batch failed 8 times: KeyError('a bug')"


async def _at_once(_: str) -> str:
    return "ok"


@pytest.mark.parametrize("told", ["before the campaign ends", "when it has ended"])
async def test_a_lead_that_confirms_while_its_campaign_ends_is_mailed(
    monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    world = await steps.new_world(1)
    leads, campaigns = Leads(world.database.leads), Campaigns(world.database.campaigns)
    life = steps.Life(world, "one")
    monkeypatch.setattr(life, "step", _at_once)
    relay = OutboxRelay(campaigns.collection, cast(Bus, Said()))
    revival = Revival(campaigns, relay, _KEYS, "http://t.test", life.planner.wake)
    (waiting,) = await leads.page("spring", None, 5)
    await leads.move_state([waiting], LeadState.UNCONFIRMED)
    deliveries = life.planner._stores.deliveries

    async def confirmed_meanwhile(_: str) -> bool:
        monkeypatch.undo()
        monkeypatch.setattr(life, "step", _at_once)
        (lead,) = await leads.page("spring", None, 5)
        assert await leads.change(lead, state=LeadState.ACTIVE)
        if told == "before the campaign ends":
            await revival.of("spring", 1)
        return False

    monkeypatch.setattr(deliveries, "any_open", confirmed_meanwhile)
    await life.planner.plan_once()
    if told == "when it has ended":
        await revival.of("spring", 1)
        await campaigns.collection.update_many({}, {"$set": {"outbox_size": 0}})  # announced
    await life.planner.plan_once()
    assert [item.recipient for body in world.jobs for item in batch_of(body).items] == ["l0@x.test"]


@pytest.mark.seed("S198", "C24")
async def test_who_leaves_when_mails_are_planned_already_gets_none_from_any_campaign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever claims a batch asks the database who has left: no copy of the list grows old."""
    world = await steps.new_world(2)
    campaigns = Campaigns(world.database.campaigns)
    spring = await campaigns.get("spring")
    assert spring is not None
    await campaigns.insert(replace(spring, id="autumn"), [])
    await Leads(world.database.leads).add("autumn", [LeadRow(n, f"l{n}@x.test") for n in range(2)])
    life = steps.Life(world, "one")
    monkeypatch.setattr(life, "step", _at_once)
    await life.planner.plan_once()
    planned = [item.recipient for body in world.jobs for item in batch_of(body).items]
    assert sorted(planned) == ["l0@x.test"] * 2 + ["l1@x.test"] * 2

    left = Suppressions(world.database.suppressions)
    await left.add("l0@x.test", "unsubscribed", "/tracker", kind=Kind.UNSUBSCRIBE)
    for body in world.jobs:
        await life.worker._claim_and_run(batch_of(body))
    assert world.accepted == {"l1@x.test": 2}
    rows = [row async for row in world.database.deliveries.find({"recipient": "l0@x.test"})]
    assert [(row["state"], row["reason"]) for row in rows] == [
        ("skipped", "suppressed: unsubscribed")
    ] * 2


async def test_an_erased_person_is_nowhere_in_the_ledger_and_gets_no_further_attempt(
    database: Any,
) -> None:
    deliveries, batches = Deliveries(database.deliveries), Batches(database.batches)
    settlements = Settlements(database.settlements)
    erasure = Erasure(deliveries, database.batches, database.settlements)
    items = [Item("sent", "l1", "jo@x.test"), Item("later", "l1", "jo@x.test")]
    other, mail = Item("o", "l2", "al@x.test"), Item("m", "mail-1", "jo@x.test")
    bare = Origin("", 0, "A", "s1", "transactional")
    told = {
        "b": (ORIGIN, [items[0], other], Outcome.ACCEPTED),
        "c": (ORIGIN, [items[1]], Outcome.DEFERRED),
        "d": (bare, [mail], Outcome.ACCEPTED),
    }
    for name, (origin, of_batch, outcome) in told.items():
        made = Batch(name, origin, tuple(of_batch), now_ms())
        facts = [
            Settled(
                one, outcome, now_ms(), mail_subject="Hi Jo", reply_text=f"<{one.recipient}>: ok"
            )
            for one in of_batch
        ]
        await batches.insert([made])
        await settlements.insert([settlement(made, facts)])
        await deliveries.write([(name, origin, fact) for fact in facts])

    await deliveries.end_waiting("l1", "jo@x.test")
    with pytest.raises(StillOpen):  # nothing is done or announced yet
        await erasure.erase("l1", "jo@x.test")
    await database.batches.update_many({}, {"$set": {"state": "done"}})
    await database.settlements.update_many({}, {"$set": {"state": "announced"}})
    await erasure.erase("l1", "jo@x.test")
    await erasure.erase("l1", "jo@x.test")

    rows = await deliveries.get_many(["sent", "later", "m", "o"])
    assert {name: row.state for name, row in rows.items()} == {
        "sent": "accepted",
        "later": "skipped",
        "m": "accepted",
        "o": "accepted",
    }
    kept = [str(rows[name].document) for name in ("sent", "later", "m")]
    for collection in (database.batches, database.settlements):
        kept += [str(d) async for d in collection.find({}).limit(10)]
    assert "jo@x.test" not in "".join(kept)
    assert rows["o"].item.recipient == "al@x.test"
    assert await deliveries.due(now_ms() + 1000, 10) == []
    left = [one.item for s in await settlements.of_batch("b") for one in s.settled]
    assert left == [other]  # it can still be announced again
    again = await batches.get("b")
    assert again is not None
    assert [one.delivery_id for one in again.items] == ["sent", "o"]
