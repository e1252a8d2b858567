"""What happened to every mail and person: deliveries, to place hits, and timelines, to be read.

A consumer of its own: figures do not wait for the rows that people look up one by one.
"""

from dataclasses import dataclass

from postfleet.cloudevents import Received
from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.events.event import Event
from postfleet.events.tracking import PersonErased
from tracker.domain.deliveries import delivery_of
from tracker.domain.timeline import entry_of
from tracker.store.deliveries import DeliveryStore
from tracker.store.people import PeopleStore
from tracker.store.timelines import TimelineStore

DURABLE = "tracker-history"


@dataclass(frozen=True, slots=True)
class HistoryHandler:
    deliveries: DeliveryStore
    timelines: TimelineStore
    people: PeopleStore

    async def __call__(self, batch: list[Received[Event]]) -> None:
        """Apply a batch; every step may be repeated, in any order."""
        erased = [r.event.recipient for r in batch if isinstance(r.event, PersonErased)]
        entries = [
            (received.event, entry_of(received))
            for received in batch
            if not isinstance(received.event, PersonErased)
        ]
        await self.deliveries.accept(
            [(delivery_of(e), x) for e, x in entries if isinstance(e, EmailSent) and x]
        )
        await self.deliveries.doubt(
            [delivery_of(e) for e, _ in entries if isinstance(e, EmailUnknown)]
        )
        # An accepted mail's entry is its delivery: one document, not two.
        await self.timelines.add(
            [x for e, x in entries if x is not None and not isinstance(e, EmailSent)]
        )
        for recipient in erased:
            await self.people.erase(recipient)
