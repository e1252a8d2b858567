"""A bus that asks again after 5 s for a job whose SMTP transactions take 30."""

import asyncio
import random

import httpx
import nats

from tests.chaos.stage import Stage

_ACK_WAIT_SECONDS = 5
_DATA_DELAY_MS = 30_000
_SLOW = 3  # of the people, so that a run ends


def slow_dots(stage: Stage, rng: random.Random) -> None:
    """The last reply to some takes 30 s; their job is redelivered five times meanwhile."""
    asyncio.run(_shorten(stage.platform.nats_url))
    control = f"http://127.0.0.1:{stage.platform.endpoints()['control_port']}/scripts"
    run = stage.last
    assert run is not None
    for recipient in rng.sample(sorted(run.recipients), _SLOW):
        body = {"data_delay_ms": _DATA_DELAY_MS}
        httpx.put(f"{control}/{recipient}", json=body, trust_env=False).raise_for_status()
    stage.start_campaign(run)


async def _shorten(url: str) -> None:
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        for consumer in await stream.consumers_info("JOBS"):
            config = consumer.config
            config.ack_wait = _ACK_WAIT_SECONDS
            await stream.add_consumer("JOBS", config)
    finally:
        await client.close()


def came_again(stage: Stage) -> None:
    """The jobs were indeed given out again."""
    assert asyncio.run(_redelivered(stage.platform.nats_url)), "no job was redelivered"


async def _redelivered(url: str) -> int:
    client = await nats.connect(url)
    try:
        consumers = await client.jetstream().consumers_info("JOBS")
        pairs = [(c.delivered, c.ack_floor) for c in consumers]
        return sum(d.consumer_seq - d.stream_seq for d, _ in pairs if d)
    finally:
        await client.close()
