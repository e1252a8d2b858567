"""Events that nobody can use, among those of a running campaign: they and no others become dead letters."""

import asyncio
import random
import time

import nats
import orjson

from postfleet.topology import DEAD_LETTERS, DURABLES
from tests.chaos.stage import Stage

_SUBJECT = "email.sent"
_COUNT = 10  # to a campaign of 1,000
_BODIES = (
    b"\x00\xff this is no JSON",
    b"[]",
    b'{"occurred_at": "2026-01-01T00:00:00Z"}',
    b'{"occurred_at": 7, "delivery_id": {"$ne": null}, "recipient": 3}',
    orjson.dumps({"occurred_at": "2026-01-01T00:00:00Z", "reply_text": "x" * 900_000}),
)


def poison(stage: Stage, rng: random.Random) -> None:
    asyncio.run(_publish(stage.platform.nats_url, rng))


async def _publish(url: str, rng: random.Random) -> None:
    client = await nats.connect(url)
    for number in range(_COUNT):
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        name = f"poison-{rng.randrange(1 << 40):x}"
        headers = {"Nats-Msg-Id": name, "ce-id": name, "ce-type": _SUBJECT}
        body = _BODIES[number % len(_BODIES)]
        await client.jetstream().publish(_SUBJECT, body, stream="EVENTS", headers=headers)
    await client.close()


def only_poison_is_dead(stage: Stage) -> None:
    """Each bad event once for each of its consumers, with a reason; nothing else."""
    hearing = {d.name for d in DURABLES if d.stream == "EVENTS" and _SUBJECT in d.subjects}
    deadline = time.monotonic() + 60
    while True:
        dead = asyncio.run(_dead_letters(stage.platform.nats_url))
        ids = {name for name, _, _ in dead}
        wanted = {(name, durable) for name in ids for durable in hearing}
        found = {(name, durable) for name, durable, _ in dead}
        complete = len(ids) % _COUNT == 0 and ids and found == wanted
        if complete or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert complete, f"not each for each: {sorted(wanted ^ found)[:10]} of {len(ids)} ids"
    assert all(name.startswith("poison-") for name in ids), ids
    assert len(dead) == len(found), "a dead letter came twice"
    assert all(reason for _, _, reason in dead)


async def _dead_letters(url: str) -> list[tuple[str, str, str]]:
    """Their ce-id, consumer and reason."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        found = []
        state = (await stream.stream_info(DEAD_LETTERS.name)).state
        for sequence in range(state.first_seq or 1, state.last_seq + 1):
            headers = (await stream.get_msg(DEAD_LETTERS.name, sequence)).headers or {}
            found.append(
                (headers["ce-id"], headers["x-dead-durable"], headers.get("x-dead-reason", ""))
            )
        return found
    finally:
        await client.close()
