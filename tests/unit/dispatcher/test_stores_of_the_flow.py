"""What conditions, winners and changes ask of the stores: one spec, run against every database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.domain.campaigns import Campaign, CampaignState, Step, Variant
from dispatcher.domain.counted_hits import Kind, Standing
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import CONDITION, NEVER, Facts
from dispatcher.domain.winner import Choice, Metric, WinnerRule
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from tests.unit.dispatcher.test_stores_of_people import rows

TWO = (Variant("A", "Hello", "Hi"), Variant("B", "Good day", "Hi"))


@pytest.fixture
async def leads(database: Any) -> Leads:
    store = Leads(database.leads)
    await store.ensure_indexes()
    await store.add("spring", rows("jo", "al", "cy"))
    return store


async def lead(store: Leads, name: str) -> Lead:
    found = await store.find("spring", f"{name}@x.test")
    assert found is not None
    return found


async def test_what_people_did_is_noted_once_and_stays(leads: Leads) -> None:
    jo = await lead(leads, "jo")
    for _ in range(2):
        await leads.mark_many({jo.key: {"replied_at": 5}, "spring:nobody": {"replied_at": 5}})
    await leads.mark_many({})
    assert (await lead(leads, "jo")).facts == Facts(replied=True)
    assert (await lead(leads, "al")).facts == Facts()
    assert await leads.counts("spring") == {"active": 3}


async def test_a_step_is_passed_over_once_and_keeps_the_sender(leads: Leads) -> None:
    jo, al = await lead(leads, "jo"), await lead(leads, "al")
    await leads.move_on([jo, al], 0, 10, "s1")
    for _ in range(2):
        await leads.pass_over([jo.key], 1, 99)
    await leads.pass_over([], 1, 99)
    moved = await lead(leads, "jo")
    assert (moved.step, moved.due, moved.sender_id) == (2, 99, "s1")
    assert (await lead(leads, "al")).step == 1


async def test_begun_steps_and_those_about_to_go_are_told(leads: Leads) -> None:
    assert await leads.begun("spring", 5) == 0
    jo = await lead(leads, "jo")
    await leads.move_on([jo], 0, 1000, "s1")
    await leads.pass_over([jo.key], 1, 2000)
    assert await leads.begun("spring", 5) == 2
    assert await leads.begun("summer", 5) == 0
    assert await leads.near("spring", 2, 2000)
    assert not await leads.near("spring", 2, 1999)
    assert not await leads.near("spring", 3, 2000)


async def test_changed_steps_are_looked_at_again_by_those_who_had_the_first(leads: Leads) -> None:
    jo = await lead(leads, "jo")
    await leads.move_on([jo], 0, NEVER, "s1")
    await leads.postpone({(await lead(leads, "al")).key: 7000})
    await leads.look_again("spring", 500)
    assert (await lead(leads, "jo")).due == 500
    assert (await lead(leads, "al")).due == 7000


async def test_the_leads_of_a_deleted_draft_are_forgotten(leads: Leads) -> None:
    await leads.add("summer", rows("jo"))
    await leads.forget("spring")
    assert await leads.counts("spring") == {}
    assert await leads.counts("summer") == {"active": 1}


def settled(n: int, outcome: Outcome = Outcome.ACCEPTED, **more: Any) -> Settled:
    return Settled(Item(f"d{n}", f"l{n}", f"l{n}@x.test"), outcome, 1000 + n, **more)


async def test_variants_and_steps_are_counted_from_the_rows(database: Any) -> None:
    store = Deliveries(database.deliveries)
    await store.ensure_indexes()
    first = {name: Origin("spring", 0, name, "s1", "campaign") for name in ("A", "B", "")}
    await store.write(
        [
            *[("b1", first["A"], settled(n)) for n in range(4)],
            *[("b2", first["B"], settled(n)) for n in range(4, 6)],
            ("b2", first["B"], settled(6, Outcome.FAILED)),
            ("b3", first[""], settled(7, Outcome.SKIPPED, meaning=CONDITION)),
            ("b4", replace(first["A"], step=1), settled(8)),
            ("b5", replace(first["A"], campaign_id="summer"), settled(9)),
        ]
    )
    nine = Standing.counted(1, 9)
    hits: list[tuple[str, Kind]] = [(d, "opened") for d in ("d0", "d1", "d2", "d4")]
    hits.append(("d4", "clicked"))
    for _ in range(2):
        await store.stand({("d2", "opened"): Standing.taken_back(1)})
        await store.stand(dict.fromkeys(hits, nine))
        await store.mark("d6", {"bounced_at": 9})
    await store.stand({})
    counted = await store.variant_counts("spring", 0, 5000, "opened_at")
    assert counted == {"A": (4, 2), "B": (2, 1)}
    assert await store.variant_counts("spring", 0, 1001, "opened_at") == {"A": (2, 2)}
    assert await store.variant_counts("spring", 0, 5000, "replied_at") == {"A": (4, 0), "B": (2, 0)}
    figures = await store.step_figures("spring", 0)
    assert figures["A"] == {
        "sent": 4, "opened": 2, "clicked": 0, "replied": 0, "bounced": 0, "failed": 0,
        "passed_over": 0,
    }  # fmt: skip
    assert (figures["B"]["sent"], figures["B"]["failed"], figures["B"]["bounced"]) == (2, 1, 1)
    assert (figures["B"]["clicked"], figures[""]["passed_over"]) == (1, 1)


def made(name: str, state: CampaignState = CampaignState.RUNNING) -> Campaign:
    step = Step(timedelta(0), TWO, winner=WinnerRule(Metric.OPENED, after=timedelta(0)))
    return Campaign(name.lower(), name, ("s1",), (step,), state, postal_address="1 Main St")


async def test_a_winner_is_kept_once_and_survives_changes(database: Any) -> None:
    store = Campaigns(database.campaigns)
    await store.ensure_indexes()
    campaign = made("Spring")
    await store.insert(campaign, [])
    assert await store.choose(campaign, 0, Choice(1, reason="nobody is better", at=5), [])
    assert not await store.choose(campaign, 0, Choice(1, "A", at=6), [])
    looked = await store.get("spring")
    assert looked is not None
    assert looked.steps[0].undecided
    assert await store.choose(looked, 0, Choice(2, "B", "better", 7), [])
    assert not await store.choose(looked, 0, Choice(2, "A", "better", 7), [])
    decided = await store.get("spring")
    assert decided is not None
    assert decided.steps[0].choice == Choice(2, "B", "better", 7)
    renamed = replace(decided, name="Summer")
    assert await store.move(decided, CampaignState.RUNNING, [], renamed)
    later = await store.get("spring")
    assert later is not None
    assert (later.name, later.steps[0].chosen, later.revision) == ("Summer", "B", 3)


async def test_campaigns_are_listed_by_state_and_by_a_part_of_their_name(database: Any) -> None:
    store = Campaigns(database.campaigns)
    await store.ensure_indexes()
    gone = CampaignState.DELETED
    for campaign in (made("Spring 1"), made("spring 2", CampaignState.DRAFT), made("Fall", gone)):
        await store.insert(campaign, [])

    async def names(*of: Any) -> list[str]:
        return [campaign.name for campaign in await store.page(None, 10, *of)]

    assert await names() == ["Spring 1", "spring 2"]
    assert await names(CampaignState.DRAFT) == ["spring 2"]
    assert await names(None, "SPRING") == ["Spring 1", "spring 2"]
    assert await names(None, "fall") == []
    assert await names(gone) == ["Fall"]
    assert [c.name for c in await store.page("spring 1", 10)] == ["spring 2"]
