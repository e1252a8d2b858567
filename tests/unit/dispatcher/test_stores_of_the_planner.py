"""One replica plans at a time, and the gap after a sender's latest mail outlives a restart."""

from typing import Any

from dispatcher.store.leases import Leases
from dispatcher.store.turns import Turns


async def test_a_lease_is_held_by_one_until_it_ends_or_is_let_go(database: Any) -> None:
    ours, theirs = Leases(database.leases, "one"), Leases(database.leases, "two")
    assert await ours.hold("planner", 60_000)
    assert await ours.hold("planner", 60_000)
    assert not await theirs.hold("planner", 60_000)
    await theirs.let_go("planner")
    assert not await theirs.hold("planner", 60_000)
    await ours.let_go("planner")
    assert await theirs.hold("planner", -1_000)
    assert await ours.hold("planner", 60_000)


async def test_the_latest_mail_of_a_sender_is_known_after_a_restart(database: Any) -> None:
    turns = Turns(database.turns)
    assert await turns.last(["s1"]) == {}
    await turns.note({"s1": 5, "s2": 6})
    await turns.note({"s1": 7})
    assert await turns.last(["s1", "s2"]) == {"s1": 7, "s2": 6}
    assert await Turns(database.turns).last(["s1", "s2"]) == {"s1": 7, "s2": 6}
    await Turns(database.turns).note({"s1": 9})
    turns.forget()
    assert (await turns.last(["s1"]))["s1"] == 9
