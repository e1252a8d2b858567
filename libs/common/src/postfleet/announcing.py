"""Saying events and putting jobs and hits on the bus, each confirmed or named as failed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nats.aio.client import Client

from postfleet import metrics, tracing
from postfleet.cloudevents import Announcement
from postfleet.outages import NotConfirmed
from postfleet.publishing import Entry, Failed, Publisher


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is no event: a job, a hit. `id` deduplicates it within the stream's window."""

    subject: str
    id: str
    body: bytes


class Announcing:
    """What one service says, in its name."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._publisher: Publisher | None = None

    async def start(self, client: Client) -> None:
        self._publisher = Publisher(client)
        await self._publisher.start()

    async def publish(self, announcements: Sequence[Announcement]) -> None:
        """Publish and wait for the PubAck of each. Raises NotConfirmed; saying them again is safe."""
        raise_if(await self.publish_each(announcements))

    async def publish_each(self, announcements: Iterable[Announcement]) -> Failed:
        """Publish all; return the ids that were not confirmed, with the reason."""
        entries = [
            Entry(a.subject, a.id, a.body(), self._traced(a, a.headers(self._service)))
            for a in announcements
        ]
        with metrics.publish_seconds.labels(self._service).time():
            failed = await self._send(entries)
        said = Counter(entry.subject for entry in entries if entry.id not in failed)
        for subject, count in said.items():
            metrics.events_published.labels(self._service, subject).inc(count)
        return failed

    def _traced(self, said: Announcement, headers: dict[str, str]) -> dict[str, str]:
        """With the trace of the delivery that the event is about, while tracing is on."""
        if tracing.active is None:
            return headers
        delivery_id = getattr(said.event, "delivery_id", None) or ""
        named = tracing.message(said.id)
        with tracing.span(f"publish {said.subject}", delivery_id, "producer", **named):
            parent = tracing.traceparent(delivery_id)
        return {**headers, "traceparent": parent} if parent else headers

    async def put(self, messages: Iterable[Message]) -> Failed:
        """Publish jobs or hits; return the ids that were not confirmed, with the reason."""
        kind = {"content-type": "application/json"}
        return await self._send(
            [Entry(m.subject, m.id, m.body, {"Nats-Msg-Id": m.id, **kind}) for m in messages]
        )

    async def _send(self, entries: Sequence[Entry]) -> Failed:
        if self._publisher is None:
            raise RuntimeError("the bus is not started")
        return await self._publisher.send(entries)


def raise_if(failed: Failed) -> None:
    """Raises NotConfirmed if anything failed."""
    if failed:
        raise NotConfirmed(list(failed), next(iter(failed.values())))
