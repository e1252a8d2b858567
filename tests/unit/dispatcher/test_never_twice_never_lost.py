"""The ledger's promise (docs/flow.md): whatever happens in whatever order, no mail goes twice, and
every delivery comes to an end that is written down.

Two or three processes plan, send and recover at the same time; each of their writes happens when
the machine says so, or fails before or after it had its effect; processes sleep through their
leases, wake up, and end between any two writes.
"""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import postfleet.instants
from dispatcher.domain.identity import delivery_id, lead_id
from tests.unit.dispatcher.steps import (
    LEASE_MS,
    UNKNOWN_AFTER_MS,
    Life,
    World,
    new_world,
    without_pauses,
)

LEADS = 3
DELIVERIES = {
    delivery_id("spring", lead_id(f"l{n}@x.test"), 0): f"l{n}@x.test" for n in range(LEADS)
}
FINAL = {"accepted", "failed", "skipped"}
HOW = st.sampled_from(["ok"] * 8 + ["bad", "worse"])
LIFE = st.integers(0, 2)


class Ledger(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world: World = self.loop.run_until_complete(new_world(LEADS))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(postfleet.instants, "time", SimpleNamespace(time=self.world.time))
        without_pauses(self.patch)
        self.lives = [Life(self.world, f"w{n}") for n in range(3)]
        self.wakes = [True, True, True]
        self.call(self.lives[0].plan)
        self.drain(self.lives[0])

    @initialize(writes=st.integers(0, 30), wakes=st.tuples(*[st.booleans()] * 3))
    def one_falls_asleep_somewhere(self, writes: int, wakes: tuple[bool, ...]) -> None:
        """The first process stops in the middle of its batch; who sleeps may never wake up."""
        self.wakes = list(wakes)
        self.call(self.lives[0].deliver, self.world.jobs[0])
        self.run_on(self.lives[0], writes)

    def call(self, work: Any, *arguments: Any, **more: Any) -> None:
        """Do something in the loop, then let everybody run up to the next write."""

        async def run() -> None:
            work(*arguments, **more)
            for _ in range(40):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    def run_on(self, life: Life, writes: int) -> None:
        for _ in range(writes):
            if life.waiting:
                self.call(life.release, 0, "ok")

    @rule(life=LIFE)
    def plan(self, life: int) -> None:
        self.call(self.lives[life].plan)

    @precondition(lambda self: self.world.jobs)
    @rule(life=LIFE, job=st.integers(0, 1000))
    def deliver_a_job_maybe_again(self, life: int, job: int) -> None:
        self.call(self.lives[life].deliver, self.world.jobs[job % len(self.world.jobs)])

    @rule(life=LIFE)
    def recover(self, life: int) -> None:
        self.call(self.lives[life].recover)

    @rule(life=LIFE, which=st.integers(0, 5), how=HOW)
    def let_one_write_happen(self, life: int, which: int, how: str) -> None:
        waiting = self.lives[life].waiting
        if waiting:
            self.call(self.lives[life].release, which % len(waiting), how)

    @rule(life=LIFE, writes=st.integers(2, 25))
    def let_it_work(self, life: int, writes: int) -> None:
        self.run_on(self.lives[life], writes)

    @rule(life=LIFE)
    def kill_and_start_again(self, life: int) -> None:
        self.lives[life].alive = False
        self.lives[life] = Life(self.world, f"w{life}")
        self.call(self.lives[life].recover, at_start=True)

    @rule(life=LIFE)
    def take_up_what_others_left(self, life: int) -> None:
        self.world.now += LEASE_MS / 1000 + 1
        self.call(self.lives[life].recover)
        self.drain(self.lives[life])

    @rule(life=LIFE, how=HOW, where=st.sampled_from(["connect", "dot", "reply", "attempts", ""]))
    def do_the_newest_job(self, life: int, how: str, where: str) -> None:
        self.call(self.lives[life].deliver, self.world.jobs[-1])
        self.drain(self.lives[life], how, where)

    @rule(seconds=st.sampled_from([1, LEASE_MS / 1000 + 1, 120, 3600]))
    def let_time_pass(self, seconds: float) -> None:
        self.world.now += seconds

    @invariant()
    def nothing_is_accepted_twice(self) -> None:
        assert all(count <= 1 for count in self.world.accepted.values()), self.world.accepted
        assert self.world.errors == []

    def teardown(self) -> None:
        try:
            self.come_to_an_end()
            self.every_delivery_has_an_end()
            for life, wakes in zip(self.lives, self.wakes, strict=True):
                if wakes:  # long after all was done
                    self.drain(life)
            self.come_to_an_end()
            self.every_delivery_has_an_end()
        finally:
            self.patch.undo()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.call(lambda: None)
            self.loop.close()

    def drain(self, life: Life, how: str = "ok", where: str = "") -> None:
        """Let it do all it has to do; the first step of kind `where` goes as `how` says."""
        for _ in range(2000):
            if not life.waiting:
                return
            hit = where != "" and where in life.waiting[0][0]
            self.call(life.release, 0, how if hit else "ok")
            where = "" if hit else where
        raise AssertionError("it never comes to rest")

    def come_to_an_end(self) -> None:
        """One healthy process whose first connection fails, and time."""
        life = Life(self.world, "last")
        for pause in (60, 60, 600, 3600, 3600, 6 * 3600, UNKNOWN_AFTER_MS / 1000, 60, 60):
            self.world.now += pause
            for work in (life.recover, life.plan, life.recover):
                self.call(work)
                self.drain(life)
            for job in list(self.world.jobs):
                self.call(life.deliver, job)
                self.drain(life, "bad", "connect" if pause == 60 else "")
            if {row["state"] for row in self.rows().values()} <= FINAL and len(
                self.rows()
            ) == LEADS:
                self.call(life.recover)
                self.drain(life)

    def rows(self) -> dict[str, Any]:
        async def read() -> dict[str, Any]:
            return {row["_id"]: row async for row in self.world.database.deliveries.find({})}

        return self.loop.run_until_complete(read())

    def every_delivery_has_an_end(self) -> None:
        self.nothing_is_accepted_twice()
        rows = self.rows()
        assert rows.keys() == DELIVERIES.keys()
        for id_, row in rows.items():
            accepted = self.world.accepted[DELIVERIES[id_]]
            assert row["state"] in FINAL, row
            if row["state"] == "accepted":
                assert accepted == 1, row
            if row["state"] == "failed":
                assert accepted == 0, row
            if row["state"] == "skipped":
                assert row["reason"].startswith("held"), row
        self.nothing_is_left_open()

    def nothing_is_left_open(self) -> None:
        async def left() -> tuple[int, int]:
            database = self.world.database
            batches = await database.batches.count_documents({"state": {"$ne": "done"}})
            unsaid = await database.settlements.count_documents({"state": "new"})
            return batches, unsaid

        assert self.loop.run_until_complete(left()) == (0, 0)


TestLedger = pytest.mark.timeout(600)(Ledger.TestCase)  # half a minute of CPU
TestLedger.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
