"""The helper that repeats events does what its users rely on."""

from collections import Counter
from typing import Any

import pytest

from postfleet.cloudevents import Received
from tests.support import redelivery
from tests.support.busworld import MODES, BusWorld, mailboxes
from tests.support.natsserver import NatsServer

SAID = mailboxes(range(40))


def test_every_event_comes_three_times_in_an_order_that_the_seed_decides() -> None:
    one, again, other = (redelivery.shuffled(SAID, seed) for seed in (1, 1, 2))
    assert Counter(a.id for a in one) == Counter({a.id: 3 for a in SAID})
    assert [a.id for a in one] == [a.id for a in again] != [a.id for a in other]


async def test_handed_over_redelivered_events_come_alone_and_the_first_ones_in_batches() -> None:
    batches: list[list[Received[Any]]] = []

    async def handler(batch: list[Received[Any]]) -> None:
        batches.append(batch)

    await redelivery.hand_over(handler, SAID, seed=7)
    handed = [one for batch in batches for one in batch]
    assert Counter(one.id for one in handed) == Counter({a.id: 3 for a in SAID})
    assert {one.event.address for one in handed} == {f"{n}@one.test" for n in range(40)}
    assert all(len(batch) == 1 for batch in batches if batch[0].deliveries > 1)
    assert any(len(batch) > 1 for batch in batches)
    assert {one.sequence for one in handed} == set(range(1, 41))


@pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))
@pytest.mark.parametrize("mode", MODES)
async def test_published_again_every_repetition_reaches_the_handler(mode: str) -> None:
    seen: Counter[str] = Counter()

    async def handler(received: Received[Any]) -> None:
        seen[received.id] += 1

    async with BusWorld() as world:
        await world.apply()
        assert await redelivery.publish(world.jetstream, SAID, seed=3) == 120
        await world.listener(mode, handler)
        await world.settle()
    assert seen == Counter({a.id: 3 for a in SAID})
