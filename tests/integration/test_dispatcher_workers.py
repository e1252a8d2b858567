"""Worker processes share the senders; one that dies takes no mail with it, and none goes twice."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

from dispatcher.domain.lanes import partition_of
from dispatcher.domain.ledger import CRASHED
from postfleet.cloudevents import Announcement
from postfleet.events.senders import SenderCreated, SenderSnapshot
from postfleet.instants import now, now_ms
from postfleet_sandbox import Behaviour
from tests.support.dispatcher import Dispatcher, DispatcherWorld

TWO = {"POSTFLEET_DISPATCHER_WORKERS": "2"}


def people(count: int) -> list[str]:
    return [f"accept+{n}@people.test" for n in range(count)]


async def more_senders(world: DispatcherWorld, count: int) -> list[str]:
    """Senders like the first, each with its own partition as far as they go."""
    first = await world.until(lambda: world.database.senders.find_one({"_id": "s1"}), "s1")
    model = SenderSnapshot.model_validate_json(first["snapshot"])
    made, taken = [], {partition_of("s1")}
    for number in range(1000):
        if len(made) == count:
            break
        id_ = f"more{number}"
        if partition_of(id_) in taken:
            continue
        taken.add(partition_of(id_))
        snapshot = model.model_copy(update={"sender_id": id_, "revision": 1})
        created = SenderCreated(occurred_at=now(), sender_id=id_, sender=snapshot)
        await world.bus.publish(Announcement(created))
        made.append(id_)

    async def known() -> bool:
        found = world.database.senders.find({}).limit(100)
        return len([document async for document in found]) == count + 1

    await world.until(known, "the senders are known")
    return made


async def owners(world: DispatcherWorld) -> Counter[str]:
    """owner -> partitions that it has now."""
    leases = [d async for d in world.database.leases.find({}).limit(100)]
    now = now_ms()
    return Counter(
        d["owner"] for d in leases if d["_id"].startswith("partition.") and d["until"] >= now
    )


async def shared(world: DispatcherWorld, *counts: int) -> Counter[str]:
    found: Counter[str] = Counter()

    async def so() -> bool:
        found.clear()
        found.update(await owners(world))
        return sorted(found.values()) == sorted(counts)

    await world.until(so, f"shared {counts}", lambda: str(found))
    return found


def workers(dispatcher: Dispatcher) -> list[int]:
    """The processes that send for it."""
    children = Path(f"/proc/{dispatcher.pid}/task/{dispatcher.pid}/children").read_text().split()
    return [
        int(pid)
        for pid in children
        if b"worker_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


async def test_a_killed_worker_process_loses_no_mail_and_doubles_none(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start(**TWO)
    await shared(world, 8, 8)
    senders = ["s1", *await more_senders(world, 9)]
    everybody = people(240)
    for address in everybody:
        world.box.script(address, Behaviour(data_delay_ms=20))
    campaign_id = await world.campaign(one, everybody, senders=senders)

    async def some() -> bool:
        return sum(world.accepted().values()) > 30

    await world.until(some, "some are out", one.tail)
    victim, other = workers(one)
    os.kill(victim, signal.SIGKILL)
    rows = await world.settled(campaign_id, len(everybody))
    accepted = world.accepted()
    assert rows.keys() == set(everybody)
    assert set(accepted.values()) == {1}
    for row in rows.values():
        if row["state"] != "accepted":
            assert (row["state"], row["reason"]) == ("unknown", CRASHED)
    states = Counter(row["state"] for row in rows.values())
    assert states["accepted"] > len(everybody) / 2
    said = await world.said()
    assert (said["email.sent"], said["email.unknown"]) == (states["accepted"], states["unknown"])
    await shared(world, 8, 8)  # it was started again
    assert other in workers(one)
    assert victim not in workers(one)


async def test_figures_of_all_processes_are_at_metrics(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start(**TWO)
    senders = ["s1", *await more_senders(world, 5)]
    campaign_id = await world.campaign(one, people(30), senders=senders)
    await world.settled(campaign_id, 30, "accepted")

    async def counted() -> bool:
        answer = await one.http.get(f"http://127.0.0.1:{one.port}/metrics")
        lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#")
        accepted = 'postfleet_deliveries_total{outcome="accepted",service="dispatcher"}'
        return (lines.get(accepted), lines.get("postfleet_job_partitions")) == ("30.0", "16.0")

    await world.until(counted, "30 accepted, 16 partitions", one.tail)


async def test_stopping_the_service_drains_its_worker_processes(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start(**TWO)
    await shared(world, 8, 8)
    for address in people(20):
        world.box.script(address, Behaviour(data_delay_ms=200))
    await world.campaign(one, people(20))

    async def some() -> bool:
        return bool(world.accepted())

    await world.until(some, "the first is out", one.tail)
    pids = workers(one)
    os.kill(one.pid, signal.SIGTERM)
    await world.until(one.dead, "ended", one.tail)
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []  # noqa: ASYNC240
    assert await owners(world) == Counter()
    claimed = await world.database.batches.find_one({"state": "claimed"})
    assert claimed is None  # what was begun has ended, and is written down


async def test_partitions_of_a_dead_dispatcher_are_taken_over_within_ten_seconds(
    world: DispatcherWorld,
) -> None:
    one, two = world.dispatcher("one"), world.dispatcher("two")
    await one.start()
    assert await shared(world, 16) == {"one": 16}
    await two.start()
    assert await shared(world, 8, 8) == {"one": 8, "two": 8}
    one.kill()
    died = time.monotonic()
    assert await shared(world, 16) == {"two": 16}
    assert time.monotonic() - died < 12  # ten, and two for a busy machine


async def test_a_senders_connections_are_capped_over_all_processes_also_when_shares_move(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher("one")
    await one.start(**TWO)
    await shared(world, 8, 8)
    everybody = people(120)
    for address in everybody:
        world.box.script(address, Behaviour(data_delay_ms=30))
    campaign_id = await world.campaign(one, everybody)
    two = world.dispatcher("two")
    starting = asyncio.create_task(two.start())
    most = 0
    while sum(world.accepted().values()) < len(everybody):
        most = max(most, world.box.smtp_connections)
        await asyncio.sleep(0.005)
    await starting
    assert most == 2  # the default: connections_per_sender
    await shared(world, 6, 5, 5)
    await world.settled(campaign_id, len(everybody), "accepted")
    assert world.accepted() == dict.fromkeys(everybody, 1)
