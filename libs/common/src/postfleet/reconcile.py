"""`postfleet bus apply`: make NATS have the streams and durables that the topology declares.

Run by `postfleet up`, by compose and by a Kubernetes Job; safe to repeat. It updates what differs
and deletes durables of ours that are declared no more; it never deletes a stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from postfleet.topology import DURABLES, SERVICES, STREAMS, Durable, Stream


@dataclass(frozen=True, slots=True)
class Touched:
    """A stream or durable that was made as declared: `created`, `updated`, `deleted`, `applied`.

    JetStream does not tell of a durable whether it is new: it is `applied`.
    """

    kind: str
    name: str
    change: str

    def __str__(self) -> str:
        return " ".join((self.kind, self.name, self.change))


def _stream_config(stream: Stream, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        description=stream.description,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=_seconds(stream.max_age),
        duplicate_window=stream.duplicate_window.total_seconds(),
        num_replicas=replicas,
        allow_direct=True,
        allow_atomic=True,
    )


def _seconds(span: timedelta | None) -> float:
    return span.total_seconds() if span else 0


def consumer_config(durable: Durable) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=durable.name,
        filter_subjects=list(durable.subjects),
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=durable.ack_wait.total_seconds(),
        max_ack_pending=durable.max_ack_pending,
        max_deliver=-1,  # we count ourselves: a shutdown uses up a delivery too
    )


async def apply(
    jetstream: JetStreamContext,
    *,
    replicas: int = 1,
    streams: Iterable[Stream] = STREAMS,
    durables: Iterable[Durable] = DURABLES,
) -> list[Touched]:
    """Create or update; return each thing that was touched, in order."""
    done = []
    wanted = list(durables)
    for stream in streams:
        done.append(await _apply_stream(jetstream, stream, replicas))
        here = {durable.name: durable for durable in wanted if durable.stream == stream.name}
        # First what goes: a work queue has one consumer a subject, so an old name blocks the new.
        for info in await jetstream.consumers_info(stream.name):
            if info.name not in here and _is_ours(info.name):
                await jetstream.delete_consumer(stream.name, info.name)
                done.append(Touched("durable", info.name, "deleted"))
        for durable in here.values():
            await jetstream.add_consumer(stream.name, consumer_config(durable))
            done.append(Touched("durable", durable.name, "applied"))
    return done


async def _apply_stream(jetstream: JetStreamContext, stream: Stream, replicas: int) -> Touched:
    config = _stream_config(stream, replicas)
    try:
        await jetstream.stream_info(stream.name)
    except NotFoundError:
        await jetstream.add_stream(config)
        return Touched("stream", stream.name, "created")
    await jetstream.update_stream(config)
    return Touched("stream", stream.name, "updated")


def _is_ours(name: str) -> bool:
    """A durable that carries the name of one of our services; subscribers of others are left alone."""
    return any(name.startswith(f"{service.name}-") for service in SERVICES)
