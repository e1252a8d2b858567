"""Batches, attempts, settlements, deliveries: one spec, run against every database there is."""

import asyncio
from typing import Any

import pytest

from dispatcher.domain.identity import person_of
from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.attempts import Attempt, Attempts
from dispatcher.store.batches import Batches, Life, batch_of, claim_of, job
from dispatcher.store.deliveries import QUEUED, Deliveries
from dispatcher.store.delivery_pages import place_of
from dispatcher.store.settlements import Settlements, settlement
from postfleet.instants import now_ms

ORIGIN = Origin("spring", 0, "A", "s1", "campaign")
ITEMS = tuple(Item(f"d{n}", f"l{n}", f"{n}@x.test") for n in range(3))
LEASE = 60_000


def batch(id_: str = "b1", items: tuple[Item, ...] = ITEMS, **changes: Any) -> Batch:
    return Batch(id_, ORIGIN, items, changes.pop("created_at", now_ms()), '{"chosen": "s1"}')


@pytest.fixture
async def batches(database: Any) -> Batches:
    store = Batches(database.batches)
    await store.ensure_indexes()
    await store.insert([batch("b1"), batch("b2")])
    return store


async def test_a_batch_comes_back_as_it_was_planned(batches: Batches) -> None:
    original = batch("b3")
    await batches.insert([original])
    assert await batches.get("b3") == original
    assert batch_of(job(original).body) == original
    assert await batches.get("nobody") is None


async def claim(
    batches: Batches, batch_id: str, claim_id: str, owner: str, lease_ms: int
) -> Life | None:
    return (await batches.claim([batch_id], claim_id, owner, lease_ms)).get(batch_id)


async def test_many_batches_are_claimed_together_and_each_once(batches: Batches) -> None:
    ids = [f"m{n}" for n in range(40)]
    await batches.insert([batch(id_) for id_ in ids])
    await claim(batches, "m7", "c0", "w0", LEASE)
    await batches.give_back("m7", "c0")
    await claim(batches, "m8", "c0", "w0", LEASE)
    wanted = [ids[:25], ids[15:], ids, ["nobody"]]
    got = await asyncio.gather(
        *(batches.claim(some, f"c{n}", f"w{n}", LEASE) for n, some in enumerate(wanted, start=1))
    )
    lives = [(id_, life) for found in got for id_, life in found.items()]
    assert len(lives) == len(dict(lives)) == 39
    assert "m8" not in dict(lives)
    assert [id_ for id_, life in lives if life == "again"] == ["m7"]


async def test_the_end_of_an_old_claim_ends_nothing_among_others(batches: Batches) -> None:
    await claim(batches, "b1", "old", "w1", LEASE)
    await batches.give_back("b1", "old")
    await batches.claim(["b1", "b2"], "new", "w1", LEASE)
    await batches.finish([("b1", "old"), ("b2", "new")])
    assert await batches.is_open("b1")
    assert not await batches.is_open("b2")


async def test_inserting_no_batches_is_nothing(batches: Batches) -> None:
    await batches.insert([])
    assert await batches.planned() == {"s1": 6}


async def test_one_worker_only_gets_a_batch(batches: Batches) -> None:
    got = await asyncio.gather(*(claim(batches, "b1", f"c{n}", f"w{n}", LEASE) for n in range(20)))
    assert sorted(map(str, got)) == ["None"] * 19 + ["first"]
    assert await claim(batches, "nobody", "c", "w", LEASE) is None


async def test_a_batch_that_is_given_back_has_had_a_life(batches: Batches) -> None:
    assert await claim(batches, "b1", "c1", "w1", LEASE) == "first"
    await batches.give_back("b1", "another claim")
    assert await claim(batches, "b1", "c2", "w2", LEASE) is None
    await batches.give_back("b1", "c1")
    assert await claim(batches, "b1", "c2", "w2", LEASE) == "again"
    await batches.finish([("b1", "c1")])  # the claim of the earlier life ends nothing
    assert await batches.is_open("b1")
    await batches.finish([("b1", claim_of("c2", "again"))])
    assert not await batches.is_open("b1")
    assert await claim(batches, "b1", "c3", "w3", LEASE) is None


async def test_a_lease_that_ends_is_abandoned_and_taken_over_once(batches: Batches) -> None:
    await claim(batches, "b1", "c1", "w1", -1)
    await claim(batches, "b2", "c2", "w1", LEASE)
    (left,) = await batches.abandoned("w2", 10, ours=False)
    assert (left.batch.id, left.claim_id) == ("b1", "c1")
    taken = await asyncio.gather(*(batches.take_over(left, f"n{n}", "w2", LEASE) for n in range(9)))
    assert sum(taken) == 1
    assert await batches.abandoned("w2", 10, ours=False) == []
    await batches.give_back("b1", "c1")  # the sleeper wakes up: not its batch any more
    assert await claim(batches, "b1", "c4", "w1", LEASE) is None


async def test_an_earlier_life_of_this_instance_is_found_before_its_lease_ends(
    batches: Batches,
) -> None:
    await claim(batches, "b1", "c1", "w1", LEASE)
    await claim(batches, "b2", "c2", "w2", LEASE)
    assert [c.batch.id for c in await batches.abandoned("w1", 10, ours=True)] == ["b1"]


async def test_a_renewed_lease_is_not_abandoned(batches: Batches) -> None:
    await claim(batches, "b1", "c1", "w1", -1)
    await batches.renew(["c1"], LEASE)
    assert await batches.abandoned("w2", 10, ours=False) == []
    await batches.finish([("b1", "c1")])
    await batches.renew(["c1"], -1)
    assert await batches.abandoned("w2", 10, ours=False) == []


async def test_jobs_of_batches_that_nobody_takes_are_found(batches: Batches) -> None:
    await batches.insert([batch("old", created_at=1000)])
    assert [b.id for b in await batches.ready_since(now_ms() - 1000, 10)] == ["old"]
    await claim(batches, "old", "c1", "w1", LEASE)
    assert await batches.ready_since(now_ms() - 1000, 10) == []
    await batches.give_back("old", "c1")
    assert {b.id for b in await batches.ready_since(now_ms() + 1000, 10)} == {"old", "b1", "b2"}


async def test_what_is_planned_and_open_is_counted(batches: Batches) -> None:
    await claim(batches, "b1", "c1", "w1", LEASE)
    assert await batches.planned() == {"s1": 3}
    assert await batches.any_open("spring")
    assert not await batches.any_open("summer")
    found = await batches.open_with("d1")
    assert found is not None
    await batches.finish([("b1", "c1")])
    await claim(batches, "b2", "c2", "w1", LEASE)
    await batches.give_back("b2", "c2")
    assert await batches.any_open("spring")
    assert await batches.planned() == {"s1": 3}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'"x"', b"\xff", b'{"_id": 1, "items": 3}'])
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        batch_of(body)


async def test_an_attempt_belongs_to_whoever_began_it_first(database: Any) -> None:
    attempts = Attempts(database.attempts)
    tries = [Attempt("d1:1", "b1", f"by{n}") for n in range(20)]
    got = await asyncio.gather(*(attempts.begin([one]) for one in tries))
    assert sum(ours for (ours,) in got) == 1
    (begun,) = (await attempts.begun(["d1:1", "d2:1"])).items()
    assert (begun[0], begun[1].batch_id) == ("d1:1", "b1")
    assert abs(begun[1].at - now_ms()) < 60_000
    assert await attempts.batch_of("d1:1") == "b1"
    assert await attempts.batch_of("d2:1") is None
    assert await attempts.begun([]) == {}


async def test_beginning_the_same_try_again_answers_the_same(database: Any) -> None:
    attempts = Attempts(database.attempts)
    one, other = Attempt("d1:1", "b1", "x"), Attempt("d1:1", "b1", "y")
    assert await attempts.begin([one]) == [True]
    assert await attempts.begin([one, other, Attempt("d2:1", "b1", "z")]) == [True, False, True]
    assert await attempts.begin([other]) == [False]


async def test_two_batches_with_one_delivery_in_one_group_share_it_out(database: Any) -> None:
    attempts = Attempts(database.attempts)
    group = [Attempt("d1:1", "b1", "x"), Attempt("d1:1", "b2", "y"), Attempt("d2:1", "b2", "z")]
    first, second, third = await attempts.begin(group)
    assert (first, second, third) in [(True, False, True), (False, True, True)]


def settled(item: Item, outcome: Outcome, **fields: Any) -> Settled:
    return Settled(item, outcome, 1_800_000_000_000, message_id=f"<{item.key}@f.test>", **fields)


async def test_a_settlement_comes_back_as_it_was(database: Any) -> None:
    store = Settlements(database.settlements)
    await store.ensure_indexes()
    facts = [
        settled(
            ITEMS[0], Outcome.ACCEPTED, reply_code=250, reply_text="ok\x00 ü💌", author="a@f.test"
        ),
        settled(ITEMS[1], Outcome.DEFERRED, soft_bounce=True, retry_at=5, fault="recipient"),
        settled(ITEMS[2], Outcome.SKIPPED, reason="replied"),
    ]
    made = settlement(batch(), facts)
    await store.insert([made, settlement(batch("b2"), facts[:1])])
    assert await store.of_batch("b1") == [made]
    assert len(await store.unannounced(now_ms(), 10)) == 2
    assert await store.unannounced(now_ms() - 60_000, 10) == []
    await store.mark_announced([made.id])
    await store.mark_announced([made.id])
    assert [s.batch_id for s in await store.unannounced(now_ms(), 10)] == ["b2"]


@pytest.fixture
async def deliveries(database: Any) -> Deliveries:
    store = Deliveries(database.deliveries)
    await store.ensure_indexes()
    return store


async def write(store: Deliveries, *facts: Settled) -> None:
    await store.write([("b1", ORIGIN, fact) for fact in facts])


def again(attempt: int) -> Item:
    return Item("d0", "l0", "0@x.test", attempt)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        pytest.param([(1, Outcome.UNKNOWN), (1, Outcome.ACCEPTED)], "accepted", id="evidence"),
        pytest.param([(1, Outcome.ACCEPTED), (1, Outcome.UNKNOWN)], "accepted", id="late doubt"),
        pytest.param([(1, Outcome.ACCEPTED), (1, Outcome.SKIPPED)], "accepted", id="late skip"),
        pytest.param([(1, Outcome.SKIPPED), (1, Outcome.ACCEPTED)], "accepted", id="held, proven"),
        pytest.param([(1, Outcome.DEFERRED), (2, Outcome.POSTPONED)], "postponed", id="next try"),
        pytest.param(
            [(2, Outcome.POSTPONED), (1, Outcome.DEFERRED)], "postponed", id="out of order"
        ),
        pytest.param([(2, Outcome.UNKNOWN), (1, Outcome.DEFERRED)], "unknown", id="old news"),
        pytest.param([(1, Outcome.POSTPONED), (1, Outcome.POSTPONED)], "postponed", id="twice"),
        pytest.param([(1, Outcome.UNKNOWN), (1, Outcome.DEFERRED)], "deferred", id="never left"),
        pytest.param([(1, Outcome.DEFERRED), (2, Outcome.FAILED)], "failed", id="given up"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_a_row_never_goes_back_in_rank(
    deliveries: Deliveries, facts: list[tuple[int, Outcome]], state: str, together: bool
) -> None:
    rows = [settled(again(attempt), outcome, retry_at=7) for attempt, outcome in facts]
    if together:
        await write(deliveries, *rows)
    for row in rows:
        await write(deliveries, row)
    found = await deliveries.get("d0")
    assert found is not None
    assert found.state == state
    assert (found.accepted_at is not None) is (state == "accepted")


async def test_marks_outlive_a_later_settlement(deliveries: Deliveries) -> None:
    assert not await deliveries.mark("d0", {"replied_at": 1})
    await write(deliveries, settled(again(1), Outcome.UNKNOWN))
    assert await deliveries.mark("d0", {"replied_at": 1})
    await write(deliveries, settled(again(1), Outcome.ACCEPTED))
    row = await deliveries.get("d0")
    assert row is not None
    assert row.document["replied_at"] == 1
    assert row.message_id == "<d0:1@f.test>"


async def test_what_waits_is_due_in_its_order_until_it_is_queued(deliveries: Deliveries) -> None:
    await write(
        deliveries,
        settled(ITEMS[0], Outcome.DEFERRED, retry_at=30),
        settled(ITEMS[1], Outcome.POSTPONED, retry_at=20),
        settled(ITEMS[2], Outcome.UNKNOWN),
        settled(Item("d9", "l9", "9@x.test"), Outcome.DEFERRED, retry_at=31),
    )
    assert [row.item.delivery_id for row in await deliveries.due(30, 10)] == ["d1", "d0"]
    await deliveries.queue(["d0", "d1", "d2"])
    assert await deliveries.due(30, 10) == []
    rows = await deliveries.get_many(["d0", "d1", "d2", "d8"])
    assert {id_: row.state for id_, row in rows.items()} == {
        "d0": QUEUED, "d1": QUEUED, "d2": "unknown",
    }  # fmt: skip
    assert await deliveries.any_open("spring")
    assert await deliveries.counts("spring") == {QUEUED: 2, "unknown": 1, "deferred": 1}
    assert [r.item.delivery_id for r in await deliveries.unknown_since(now_ms() * 2, 9)] == ["d2"]


async def test_a_campaign_with_only_final_rows_has_nothing_open(deliveries: Deliveries) -> None:
    outcomes = (Outcome.ACCEPTED, Outcome.FAILED, Outcome.SKIPPED)
    await write(deliveries, *(settled(i, o) for i, o in zip(ITEMS, outcomes, strict=True)))
    assert not await deliveries.any_open("spring")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_a_person_show_every_row_once_the_newest_first(
    database: Any, limit: int
) -> None:
    """Also where many rows are of one millisecond, and however they are mixed."""
    store = Deliveries(database.deliveries)
    await store.ensure_indexes()
    person, own = person_of("ann@x.test"), Origin("", 0, "", "s1", "transactional")
    rows = [
        (own if n % 3 else ORIGIN, Item(f"d{n:02}", f"m{n}" if n % 3 else person, "ann@x.test"))
        for n in range(20)
    ]
    times = [10, 20, 20, 20, 30] * 4
    accepted = Outcome.ACCEPTED
    told = [("b", o, Settled(i, accepted, at)) for (o, i), at in zip(rows, times, strict=True)]
    await store.write(told)
    seen: list[tuple[int, str]] = []
    while found := await store.to_person(person, limit, seen[-1] if seen else None):
        assert len(found) <= limit
        seen += [place_of(row) for row in found]
    assert seen == sorted(((at, f"d{n:02}") for n, at in enumerate(times)), reverse=True)


async def test_a_person_is_found_by_what_campaigns_and_others_sent(database: Any) -> None:
    store = Deliveries(database.deliveries)
    await store.ensure_indexes()
    person = person_of("ann@x.test")
    own = Origin("", 0, "", "s1", "transactional")
    rows = [
        (ORIGIN, Item("d1", person, "ann@x.test"), 10),
        (own, Item("d2", "m2", "Ann@X.test"), 30),
        (own, Item("d3", "m3.4", "ann@x.test"), 20),
        (own, Item("d4", "m4", "bob@x.test"), 40),
    ]
    await store.write(
        [("b", origin, Settled(item, Outcome.ACCEPTED, at)) for origin, item, at in rows]
    )
    found = await store.to_person(person, 10)
    assert [row.item.delivery_id for row in found] == ["d2", "d3", "d1"]
    assert [row.item.delivery_id for row in await store.to_person(person, 2)] == ["d2", "d3"]
    of_person = await store.of_person(person, "ann@x.test")
    assert {row.item.delivery_id for row in of_person} == {"d1", "d2", "d3"}
    await store.erase(["d1", "d2", "d3"])
    assert await store.to_person(person, 10) == []
