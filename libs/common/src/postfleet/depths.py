"""How much waits on the bus for one service: not given to a durable, not acknowledged, dead."""

import asyncio

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from postfleet import metrics
from postfleet.topology import DEAD_LETTERS, Durable, durables_of

_EVERY = 10.0  # seconds


async def keep_measuring(jetstream: JetStreamContext, service: str) -> None:
    """Runs for ever; what cannot be asked now keeps its last value."""
    while True:
        for durable in durables_of(service):
            try:
                await measure(jetstream, durable)
            except (TimeoutError, NatsError):
                continue  # readiness says what is missing
        await asyncio.sleep(_EVERY)


async def measure(jetstream: JetStreamContext, durable: Durable) -> None:
    """Raises nats.errors.Error and TimeoutError."""
    labels = durable.service, durable.name
    found = await jetstream.consumer_info(durable.stream, durable.name, timeout=2)
    metrics.consumer_pending.labels(*labels).set(found.num_pending or 0)
    metrics.consumer_unacked.labels(*labels).set(found.num_ack_pending or 0)
    if durable.part_of:
        return  # its dead letters are that one's
    dead = await jetstream.stream_info(DEAD_LETTERS.name, f"dead.{durable.name}.>")
    metrics.dead_letters.labels(*labels).set(sum((dead.state.subjects or {}).values()))
