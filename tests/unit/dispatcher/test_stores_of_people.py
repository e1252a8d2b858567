"""Leads, suppressions, senders, quotas: one spec, run against every database there is."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.domain.campaigns import Campaign, LeadState, Step, Variant
from dispatcher.domain.consent import Consent, ConsentLevel
from dispatcher.domain.identity import lead_id
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.domain.progress import NEVER
from dispatcher.domain.suppression import LIFTED_BY_RESUBSCRIBING, Kind
from dispatcher.policies import Policies
from dispatcher.store.companies import Companies
from dispatcher.store.leads import Leads
from dispatcher.store.quotas import Limits, Quotas
from dispatcher.store.secret_keys import secret_key
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import StillToBeSaid, Suppressions
from postfleet.cloudevents import Announcement
from postfleet.events.deliveries import RecipientSuppressed
from postfleet.instants import now, now_ms
from postfleet.secrets import KeyRing
from tests.unit.dispatcher.test_planning import sender

DAY, MONTH = "2026-11-21", "2026-11"


def rows(*names: str) -> list[LeadRow]:
    return [
        LeadRow(n, f"{name}@x.test", {"name": name, "a.b": "$x"}) for n, name in enumerate(names)
    ]


@pytest.fixture
async def leads(database: Any) -> Leads:
    store = Leads(database.leads)
    await store.ensure_indexes()
    return store


async def test_nobody_is_added_twice(leads: Leads) -> None:
    assert await leads.add("spring", rows("jo", "al", "jo")) == 2
    assert await leads.add("spring", rows("al", "cy")) == 1
    assert await leads.add("spring", rows("al", "cy")) == 0
    assert await leads.add("spring", []) == 0
    assert await leads.add("summer", rows("jo")) == 1
    assert await leads.counts("spring") == {"active": 3}
    found = await leads.find("spring", "jo@x.test")
    assert found is not None
    assert found.fields == {"name": "jo", "a.b": "$x"}
    assert found.lead_id == lead_id("jo@x.test")


async def test_imports_at_the_same_time_add_everybody_once(leads: Leads) -> None:
    names = [f"l{n}" for n in range(40)]
    added = await asyncio.gather(*(leads.add("spring", rows(*names)) for _ in range(5)))
    assert sum(added) == 40


async def test_a_lead_moves_on_once_however_often_it_is_said(leads: Leads) -> None:
    await leads.add("spring", rows("jo"))
    (lead,) = await leads.due("spring", 0, 10)
    for _ in range(2):
        await leads.move_on([lead], 0, 500, "s1")
    assert await leads.due("spring", 499, 10) == []
    (moved,) = await leads.due("spring", 500, 10)
    assert (moved.step, moved.sender_id) == (1, "s1")
    await leads.finish_all("spring")
    assert await leads.any_active("spring"), "it has a step to come"
    await leads.postpone({moved.key: NEVER})
    await leads.postpone({})
    assert not await leads.any_active("spring")
    await leads.finish_all("spring")
    assert await leads.counts("spring") == {"finished": 1}


async def test_a_lead_that_ended_stays_ended(leads: Leads) -> None:
    await leads.add("spring", rows("jo", "al"))
    await leads.add("summer", rows("jo"))
    await leads.end_everywhere(lead_id("jo@x.test"), LeadState.UNSUBSCRIBED)
    keys = [f"spring:{lead_id('jo@x.test')}", f"spring:{lead_id('al@x.test')}"]
    await leads.end(keys, LeadState.REPLIED)
    await leads.end([], LeadState.REPLIED)
    found = await leads.get_many(keys)
    assert [found[key].state for key in keys] == [LeadState.UNSUBSCRIBED, LeadState.REPLIED]
    assert await leads.due("summer", NEVER, 10) == []


@pytest.mark.parametrize(
    ("why", "finished_becomes"),
    [(LeadState.INVALID, "invalid"), (LeadState.UNSUBSCRIBED, "finished")],
)
async def test_a_bounce_that_comes_when_the_campaign_is_over_makes_the_address_invalid(
    leads: Leads, why: LeadState, finished_becomes: str
) -> None:
    for campaign in ("spring", "summer"):
        await leads.add(campaign, rows("jo"))
    await leads.end([f"spring:{lead_id('jo@x.test')}"], LeadState.FINISHED)
    await leads.end_everywhere(lead_id("jo@x.test"), why)
    assert await leads.counts("spring") == {finished_becomes: 1}
    assert await leads.counts("summer") == {why.value: 1}


async def test_leads_are_listed_by_pages(leads: Leads) -> None:
    await leads.add("spring", rows(*(f"l{n}" for n in range(7))))
    first = await leads.page("spring", None, 5)
    rest = await leads.page("spring", first[-1].queue, 5)
    assert len({lead.key for lead in [*first, *rest]}) == 7
    assert await leads.first("spring") is not None
    assert await leads.first("autumn") is None


async def test_an_address_is_suppressed_by_itself_or_its_domain(database: Any) -> None:
    store = Suppressions(database.suppressions)
    await store.ensure_indexes()
    assert await store.add("jo@x.test", "unsubscribed", "tracker")
    assert not await store.add("jo@x.test", "hard bounce", "dispatcher")
    assert await store.add("@y.test", "competitor", "api")
    people = ["jo@x.test", "al@x.test", "cy@y.test", "di@sub.y.test"]
    assert await store.of(people) == {"jo@x.test": "unsubscribed", "cy@y.test": "competitor"}
    assert await store.of([]) == {}
    assert [one.entry for one in await store.page(None, 10)] == ["@y.test", "jo@x.test"]
    assert [one.entry for one in await store.page("@y.test", 10)] == ["jo@x.test"]
    assert await store.remove("@y.test")
    assert not await store.remove("@y.test")
    assert await store.of(people) == {"jo@x.test": "unsubscribed"}


async def test_each_kind_of_reason_is_lifted_by_itself(database: Any) -> None:
    store = Suppressions(database.suppressions)
    await store.ensure_indexes()
    assert await store.add("jo@x.test", "unsubscribed", "tracker", kind=Kind.UNSUBSCRIBE)
    assert not await store.add("jo@x.test", "unsubscribed", "tracker", kind=Kind.UNSUBSCRIBE)
    assert await store.add("jo@x.test", "hard bounce", "watcher", kind=Kind.BOUNCE)
    assert await store.add("al@x.test", "unsubscribed", "tracker", kind=Kind.UNSUBSCRIBE)
    assert [one.entry for one in await store.page(None, 9, Kind.BOUNCE)] == ["jo@x.test"]
    for _ in range(2):
        for person in ("jo@x.test", "al@x.test"):
            await store.lift(person, LIFTED_BY_RESUBSCRIBING, now_ms())
    assert set(await store.of(["jo@x.test", "al@x.test"])) == {"jo@x.test"}
    (left,) = await store.page(None, 9)
    assert set(left.kinds) == {Kind.BOUNCE}


@pytest.mark.parametrize(
    ("facts", "suppressed"),
    [
        pytest.param("leaves 1, back 2", False, id="who comes back"),
        pytest.param("leaves 1, back 2, leaves 3", True, id="who leaves again"),
        pytest.param("leaves 1, back 2, leaves 3, back 2", True, id="the return told once more"),
        pytest.param("leaves 1, leaves 3, back 2", True, id="the return told late"),
        pytest.param("leaves 3, leaves 1, back 2", True, id="all the wrong way round"),
        pytest.param("leaves 1, back 2, leaves 3, back 4", False, id="who comes back twice"),
    ],
)
async def test_the_newest_decision_holds_in_whatever_order_they_are_told(
    database: Any, facts: str, suppressed: bool
) -> None:
    store = Suppressions(database.suppressions)
    await store.ensure_indexes()
    for fact in facts.split(", "):
        what, at = fact.split()
        if what == "back":
            await store.lift("jo@x.test", LIFTED_BY_RESUBSCRIBING, int(at))
        else:
            await store.add("jo@x.test", "page", "tracker", kind=Kind.UNSUBSCRIBE, at=int(at))
    assert bool(await store.of(["jo@x.test"])) is suppressed


async def test_a_return_is_known_without_the_address_and_as_of_when_it_was(database: Any) -> None:
    store = Suppressions(database.suppressions, b"k" * 32)
    await store.ensure_indexes()
    for at in (2, 1, 2):
        await store.lift("jo@x.test", LIFTED_BY_RESUBSCRIBING, at)
    asked = [await store.has_returned("jo@x.test", since) for since in (1, 2, 3)]
    assert asked == [True, True, False]
    assert not await store.has_returned("al@x.test", 1)
    assert await store.page(None, 9) == []
    assert "jo@x.test" not in str(
        [document async for document in database.suppressions.find({}).limit(9)]
    )


async def test_of_an_erased_person_a_keyed_hash_still_suppresses(database: Any) -> None:
    store = Suppressions(database.suppressions, b"k" * 32)
    await store.ensure_indexes()
    await store.add("jo@x.test", "unsubscribed", "tracker", kind=Kind.UNSUBSCRIBE)
    for _ in range(2):
        await store.forget("jo@x.test")
    await store.forget("nobody@x.test")
    assert await store.of(["jo@x.test", "nobody@x.test"]) == {"jo@x.test": "unsubscribed"}
    assert await store.page(None, 9) == []
    documents = [document async for document in database.suppressions.find({}).limit(9)]
    assert "jo@x.test" not in str(documents)
    assert await Suppressions(database.suppressions, b"q" * 32).of(["jo@x.test"]) == {}


async def test_the_key_of_the_hashes_outlives_a_rotation(database: Any) -> None:
    old, new = KeyRing.generate(), KeyRing.generate()
    made = await secret_key(database.secret_keys, KeyRing.parse(old), "suppression")
    both = await secret_key(database.secret_keys, KeyRing.parse(f"{new},{old}"), "suppression")
    rotated = await secret_key(database.secret_keys, KeyRing.parse(new), "suppression")
    assert made == both == rotated
    assert len(made) == 32


async def test_an_event_that_is_still_to_be_said_keeps_its_suppression(database: Any) -> None:
    store = Suppressions(database.suppressions)
    event = RecipientSuppressed(occurred_at=now(), recipient="jo@x.test", reason="manual")
    await store.add("jo@x.test", "manual", "api", [Announcement(event)])
    with pytest.raises(StillToBeSaid):
        await store.remove("jo@x.test")


async def test_opt_in_holds_back_and_lets_go(database: Any) -> None:
    leads, companies = Leads(database.leads), Companies(database.companies)
    await leads.ensure_indexes()
    sure = LeadRow(2, "sure@x.test", {}, Consent(ConsentLevel.CONFIRMED, 5, "a form"))
    await leads.add("spring", [*rows("jo"), sure])
    policies, campaign = Policies(leads, companies), people_campaign()
    await policies.apply_opt_in(replace(campaign, require_opt_in=True))
    assert await leads.counts("spring") == {"active": 1, "unconfirmed": 1}
    await leads.add("spring", rows("al"), require_opt_in=True)
    assert [one.address for one in await leads.due("spring", 0, 9)] == ["sure@x.test"]
    await policies.apply_opt_in(campaign)
    assert await leads.counts("spring") == {"active": 3}


@pytest.mark.parametrize(
    ("address", "company", "paused"),
    [
        pytest.param("jo@acme.test", "", {"al@acme.test"}, id="the same domain"),
        pytest.param("cy@gmail.com", "", set(), id="free mail is no company"),
        pytest.param("di@gmail.com", "ACME  Inc", {"ed@other.test"}, id="the same name"),
    ],
)
async def test_when_one_replies_the_colleagues_wait(
    database: Any, address: str, company: str, paused: set[str]
) -> None:
    leads, companies = Leads(database.leads), Companies(database.companies)
    for store in (leads, companies):
        await store.ensure_indexes()
    people = {
        "jo@acme.test": "",
        "al@acme.test": "",
        "cy@gmail.com": "",
        "fy@gmail.com": "",
        "di@gmail.com": "Acme inc",
        "ed@other.test": "acme inc",
    }
    await leads.add("spring", [LeadRow(2, who, {"Company": name}) for who, name in people.items()])
    policies, campaign = Policies(leads, companies), people_campaign()
    for _ in range(2):
        await policies.list_companies("spring")
    await leads.end([f"spring:{lead_id(address)}"], LeadState.REPLIED)
    for _ in range(2):
        await policies.pause_company(campaign, lead_id(address), "replied")
    found = await leads.page("spring", None, 9, LeadState.PAUSED)
    assert {one.address for one in found} == paused
    assert all(one.reason == "replied" for one in found)


def people_campaign() -> Campaign:
    step = Step(timedelta(0), (Variant("A", "Hello", "Hi"),))
    return Campaign("spring", "spring", ("s1",), (step,))


async def test_only_a_newer_revision_of_a_sender_is_applied(database: Any) -> None:
    store = Senders(database.senders)
    assert await store.apply(sender("s1", revision=3, health=70))
    assert not await store.apply(sender("s1", revision=3, health=10))
    assert not await store.apply(sender("s1", revision=2, health=10))
    assert await store.apply(sender("s1", revision=4, health=71, tags=("eu",)))
    assert await store.apply(sender("s2", revision=1, deleted=True))
    restarted = Senders(database.senders)
    await restarted.load()
    for one in (store, restarted):
        known = one.get("s1")
        assert known is not None
        assert (known.revision, known.health) == (4, 71)
        for selector in ("s1", "s1@fleet.test", "fleet.test", "eu"):
            assert [s.sender_id for s in one.matching((selector,))] == ["s1"]
        assert one.matching(("nobody", "s2")) == []
        assert len(one.all()) == 2


async def test_what_another_process_applied_is_known_after_a_load(database: Any) -> None:
    ours, theirs = Senders(database.senders), Senders(database.senders)
    await theirs.apply(sender("s1", revision=5))
    assert ours.get("s1") is None
    await ours.load()
    assert ours.get("s1") is not None


async def test_revisions_heard_by_many_replicas_at_once_end_in_the_newest(database: Any) -> None:
    for turn in range(5):
        name = f"s{turn}"
        replicas = [Senders(database.senders) for _ in range(8)]
        await asyncio.gather(
            *(one.apply(sender(name, revision=n)) for n, one in enumerate(replicas, start=1))
        )
        fresh = await Senders(database.senders).fresh(name)
        assert fresh is not None
        assert fresh.revision == 8


def limits(daily: int | None, monthly: int | None = None) -> Limits:
    return Limits(DAY, daily, monthly)


async def used(quotas: Quotas, sender_id: str = "s1") -> tuple[int, int]:
    """What the sender has used of its day and of its month."""
    found = (await quotas.used([sender_id, "another"], DAY))[sender_id]
    return found.day, found.month


@pytest.mark.seed("S28")
async def test_twenty_batches_at_once_get_exactly_the_limit(database: Any) -> None:
    quotas = Quotas(database.quotas)
    got = await asyncio.gather(
        *(quotas.reserve("s1", f"b{n}", 7, limits(50, 1000)) for n in range(20))
    )
    assert sum(got) == 50
    assert await used(quotas) == (50, 50)


@pytest.mark.seed("S28", "C5")
async def test_the_tighter_of_day_and_month_counts(database: Any) -> None:
    quotas = Quotas(database.quotas)
    got = await asyncio.gather(
        *(quotas.reserve("s1", f"b{n}", 5, limits(50, 18)) for n in range(20))
    )
    assert sum(got) == 18
    assert await used(quotas) == (18, 18)


async def test_repeating_a_reservation_changes_nothing(database: Any) -> None:
    quotas = Quotas(database.quotas)
    assert [await quotas.reserve("s1", "b1", 8, limits(10)) for _ in range(3)] == [8, 8, 8]
    assert [await quotas.reserve("s1", "b2", 8, limits(10)) for _ in range(3)] == [2, 2, 2]
    assert await quotas.reserve("s1", "b1", 3, limits(10)) == 3
    assert await used(quotas) == (10, 10)


async def test_what_was_not_used_is_given_back_once(database: Any) -> None:
    quotas = Quotas(database.quotas)
    await quotas.reserve("s1", "b1", 8, limits(10, 20))
    for _ in range(3):
        await quotas.settle("s1", "b1", 5, limits(10, 20), reserved=8)
        await quotas.settle("s1", "another", 0, limits(10, 20), reserved=3)
    assert await used(quotas) == (5, 5)
    assert await quotas.reserve("s1", "b2", 9, limits(10, 20)) == 5


async def test_a_batch_that_outlives_its_day_gives_back_to_the_day_it_took_from(
    database: Any,
) -> None:
    quotas = Quotas(database.quotas)
    await quotas.reserve("s1", "b1", 8, limits(10))
    tomorrow = Limits("2026-11-22", 10)
    assert await quotas.reserve("s1", "b1", 8, tomorrow) == 8
    await quotas.settle("s1", "b1", 3, tomorrow, reserved=8)
    assert await used(quotas) == (3, 3)
    assert (await quotas.used(["s1"], tomorrow.day))["s1"].day == 0


@pytest.mark.parametrize(
    ("daily", "monthly", "granted"), [(0, None, 0), (None, None, 4), (9, 0, 0)]
)
async def test_limits_of_nothing_and_no_limits(
    database: Any, daily: int | None, monthly: int | None, granted: int
) -> None:
    quotas = Quotas(database.quotas)
    assert await quotas.reserve("s1", "b1", 4, limits(daily, monthly)) == granted
    assert await used(quotas) == (granted, granted)


async def test_a_limit_that_was_lowered_grants_nothing(database: Any) -> None:
    quotas = Quotas(database.quotas)
    await quotas.reserve("s1", "b1", 8, limits(10))
    assert await quotas.reserve("s1", "b2", 3, limits(5)) == 0
    assert await used(quotas) == (8, 8)
