"""The same events several times in random order: what at-least-once delivery may do at its worst.

`publish` puts them on a stream; `hand_over` gives them to a handler without one. Both repeat every
event under the same id and shuffle with a seed, so that a failure can be played again.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nats.js import JetStreamContext

from postfleet.cloudevents import Announcement, Received, parse
from postfleet.topology import EVENT_STREAM

TIMES = 3


def shuffled(
    announcements: Sequence[Announcement], seed: int, times: int = TIMES
) -> list[Announcement]:
    """Every announcement `times` times, in an order that follows from the seed."""
    repeated = list(announcements) * times
    random.Random(seed).shuffle(repeated)
    return repeated


async def publish(
    jetstream: JetStreamContext,
    announcements: Sequence[Announcement],
    seed: int,
    times: int = TIMES,
) -> int:
    """Store them all: without Nats-Msg-Id, so JetStream drops none; returns how many."""
    repeated = shuffled(announcements, seed, times)
    for said in repeated:
        headers = said.headers(said.event.source)
        del headers["Nats-Msg-Id"]
        await jetstream.publish(
            said.subject, said.body(), stream=EVENT_STREAM.name, headers=headers
        )
    return len(repeated)


def received(
    announcements: Sequence[Announcement], seed: int, times: int = TIMES
) -> list[Received[Any]]:
    """As the bus would hand them over: parsed anew; the sequence is that of the first time."""
    place = {said.id: number for number, said in enumerate(announcements, start=1)}
    seen: dict[str, int] = {}
    found = []
    for said in shuffled(announcements, seed, times):
        seen[said.id] = seen.get(said.id, 0) + 1
        headers = said.headers(said.event.source)
        found.append(
            Received(
                event=parse(said.subject, headers, said.body()),
                id=said.id,
                source=headers["ce-source"],
                deliveries=seen[said.id],
                sequence=place[said.id],
            )
        )
    return found


async def hand_over(
    handler: Callable[[list[Received[Any]]], Awaitable[None]],
    announcements: Sequence[Announcement],
    seed: int,
    times: int = TIMES,
    largest_batch: int = 50,
) -> None:
    """Give them to a batch handler as the bus does: redelivered events come one by one."""
    chance = random.Random(seed)
    batch: list[Received[Any]] = []
    size = chance.randint(1, largest_batch)
    for one in received(announcements, seed, times):
        if one.deliveries > 1 or len(batch) >= size:
            if batch:
                await handler(batch)
            batch, size = [], chance.randint(1, largest_batch)
        if one.deliveries > 1:
            await handler([one])
        else:
            batch.append(one)
    if batch:
        await handler(batch)
