"""Orders of events that once lost a mail or sent it twice, or that would if a guard were missing."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

import postfleet.instants
from dispatcher.domain.campaigns import LeadState
from dispatcher.store.lead_documents import queue_key
from dispatcher.store.packed import unpacked
from tests.unit.dispatcher.steps import LEASE_MS, Life, World, new_world, without_pauses


class Stage:
    """One lead, its batch planned by a process that has nothing else to do."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def forget_the_move(self) -> None:
        """As if the planner had ended between the batch and the lead."""
        leads = self.world.database.leads
        (document,) = [one async for one in leads.find({})]
        queue = queue_key(document["_id"], LeadState.ACTIVE, 0)
        await leads.update_one({}, {"$set": {"step": 0, "due": 0, "queue": queue}})

    async def settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)

    async def until(self, life: Life, what: str) -> None:
        """Let it write until it wants to do `what`."""
        for _ in range(200):
            await self.settle()
            assert life.waiting, f"it never came to {what}"
            if what in life.waiting[0][0]:
                return
            life.release(0, "ok")
        raise AssertionError(what)

    async def next(self, life: Life, how: str = "ok") -> None:
        life.release(0, how)
        await self.settle()

    async def finish(self, life: Life) -> None:
        for _ in range(500):
            await self.settle()
            if not life.waiting:
                return
            life.release(0, "ok")
        raise AssertionError("it never comes to rest")

    async def send(self, life: Life, job: int = -1) -> None:
        life.deliver(self.world.jobs[job])
        await self.finish(life)

    async def plan(self, life: Life) -> None:
        life.plan()
        await self.finish(life)

    async def take_up(self, life: Life) -> None:
        self.world.now += LEASE_MS / 1000 + 1
        life.recover()
        await self.finish(life)

    async def row(self) -> Any:
        return await self.world.database.deliveries.find_one({})

    @property
    def sent(self) -> int:
        assert self.world.errors == []
        return sum(self.world.accepted.values())


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    world = await new_world(1)
    monkeypatch.setattr(postfleet.instants, "time", SimpleNamespace(time=world.time))
    without_pauses(monkeypatch)
    stage = Stage(world)
    await stage.plan(Life(world, "planner"))
    yield stage
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_a_sleeper_does_not_send_what_failed_without_a_connection_meanwhile(
    stage: Stage,
) -> None:
    sleeper, other = Life(stage.world, "sleeper"), Life(stage.world, "other")
    sleeper.deliver(stage.world.jobs[0])
    await stage.until(sleeper, "attempts")
    await stage.take_up(other)
    other.deliver(stage.world.jobs[-1])
    await stage.until(other, "connect")
    await stage.next(other, "bad")  # no connection: settled as deferred without a dot
    await stage.finish(other)
    stage.world.now += 120
    await stage.plan(other)
    await stage.send(other)  # attempt 2
    await stage.finish(sleeper)
    assert stage.sent == 1
    assert (await stage.row())["state"] == "accepted"


async def test_a_rerun_does_not_send_what_its_first_life_deferred(stage: Stage) -> None:
    first, other = Life(stage.world, "first"), Life(stage.world, "other")
    first.deliver(stage.world.jobs[0])
    await stage.until(first, "connect")
    await stage.next(first, "bad")
    await stage.until(first, "quotas")  # settled, not finished; it ends here
    await stage.take_up(other)
    stage.world.now += 120
    await stage.plan(other)
    for job in range(len(stage.world.jobs)):
        await stage.send(other, job)
    assert stage.sent == 1


async def test_an_attempt_begun_behind_the_recoverys_back_is_not_forgotten(stage: Stage) -> None:
    sleeper, other = Life(stage.world, "sleeper"), Life(stage.world, "other")
    sleeper.deliver(stage.world.jobs[0])
    await stage.until(sleeper, "attempts")
    await stage.take_up(other)  # finds nothing begun
    await stage.until(sleeper, "dot")  # begun after all; and the sleeper never wakes up again
    await stage.send(other)
    assert (await stage.row())["state"] == "unknown"
    assert stage.sent == 0


async def test_a_sleeper_that_wakes_up_after_all_corrects_the_doubt(stage: Stage) -> None:
    sleeper, other = Life(stage.world, "sleeper"), Life(stage.world, "other")
    sleeper.deliver(stage.world.jobs[0])
    await stage.until(sleeper, "dot")
    await stage.take_up(other)
    await stage.send(other)
    assert (await stage.row())["state"] == "unknown"
    await stage.finish(sleeper)
    assert (await stage.row())["state"] == "accepted"
    assert stage.sent == 1


async def test_an_attempt_whose_answer_got_lost_is_ours_all_the_same(stage: Stage) -> None:
    life = Life(stage.world, "w")
    life.deliver(stage.world.jobs[0])
    await stage.until(life, "attempts")
    await stage.next(life, "worse")  # written, but nobody told us
    await stage.finish(life)
    assert stage.sent == 1
    assert (await stage.row())["state"] == "accepted"


async def test_two_batches_with_one_delivery_send_it_once_and_no_doubt_arises(stage: Stage) -> None:
    """A planner that ends between the batch and the lead plans the lead again."""
    await stage.forget_the_move()
    life = Life(stage.world, "w")
    await stage.plan(life)
    assert len(stage.world.jobs) == 2
    for job in stage.world.jobs:
        life.deliver(job)
    await stage.finish(life)
    assert stage.sent == 1
    assert (await stage.row())["state"] == "accepted"
    assert await stage.world.database.batches.count_documents({"state": "done"}) == 2


async def test_a_second_batch_that_is_taken_up_casts_no_doubt_on_the_first(stage: Stage) -> None:
    await stage.forget_the_move()
    life, sleeper = Life(stage.world, "w"), Life(stage.world, "sleeper")
    await stage.plan(life)
    sleeper.deliver(stage.world.jobs[1])
    await stage.until(sleeper, "connect")
    await stage.send(life, 0)
    said = len(stage.world.said)
    await stage.take_up(life)
    await stage.send(life)
    assert len(stage.world.said) == said  # no email.unknown
    assert stage.sent == 1


@pytest.mark.parametrize("point", ["batches.update_many", "quotas", "connect", "attempts"])
async def test_what_ends_before_the_dot_is_sent_by_the_next(stage: Stage, point: str) -> None:
    first, other = Life(stage.world, "first"), Life(stage.world, "other")
    first.deliver(stage.world.jobs[0])
    await stage.until(first, point)
    await stage.take_up(other)
    await stage.send(other)
    assert stage.sent == 1
    assert (await stage.row())["state"] == "accepted"


@pytest.mark.parametrize("point", ["settlements.insert", "publish", "deliveries", "settlements.up"])
async def test_what_ends_after_the_reply_is_written_down_by_the_next(
    stage: Stage, point: str
) -> None:
    first, other = Life(stage.world, "first"), Life(stage.world, "other")
    first.deliver(stage.world.jobs[0])
    await stage.until(first, point)
    await stage.take_up(other)
    await stage.send(other)
    assert stage.sent == 1
    assert (await stage.row())["state"] == (
        "unknown" if point == "settlements.insert" else "accepted"
    )


async def test_an_exception_in_one_mail_gives_the_batch_back_when_all_have_ended(
    stage: Stage,
) -> None:
    life = Life(stage.world, "w")
    life.deliver(stage.world.jobs[0])
    await stage.until(life, "quotas")
    await stage.next(life, "worse")
    await stage.finish(life)
    assert stage.sent == 0
    await stage.send(life, 0)
    assert stage.sent == 1
    assert [q["used"] async for q in stage.world.database.quotas.find({})] == [1]


async def test_quota_of_an_earlier_life_is_counted_once(stage: Stage) -> None:
    first, other = Life(stage.world, "first"), Life(stage.world, "other")
    first.deliver(stage.world.jobs[0])
    await stage.until(first, "batches.update_many")  # the claim
    await stage.next(first)
    await stage.until(first, "batches.bulk_write")  # all settled, quota too; not finished
    await stage.take_up(other)
    await stage.send(other)
    assert [q["used"] async for q in stage.world.database.quotas.find({})] == [1]
    assert [q["held"] async for q in stage.world.database.quotas.find({})] == [{}]


async def test_two_jobs_of_one_batch_at_the_same_moment_are_one_run(stage: Stage) -> None:
    life = Life(stage.world, "one")
    for _ in range(3):
        life.deliver(stage.world.jobs[0])
    await stage.finish(life)
    assert stage.sent == 1
    facts = [d async for d in stage.world.database.settlements.find({})]
    assert [item["outcome"] for d in facts for item in unpacked(d["items"])] == ["accepted"]
