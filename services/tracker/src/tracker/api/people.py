"""`/people/{address}`: what is kept about a person, and its erasure (GDPR, articles 15 and 17)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from postfleet.addresses import InvalidAddress, canonical
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement
from postfleet.events.tracking import PersonErased
from postfleet.http import API
from postfleet.instants import now
from postfleet.outbox import OutboxRelay
from postfleet.problems import invalid
from tracker.store.people import PeopleStore

_LIMIT = 10_000


def build_router(people: PeopleStore, relay: OutboxRelay) -> APIRouter:
    router = APIRouter(prefix=f"{API}/people", tags=["people"], dependencies=[require(Scope.ADMIN)])

    @router.get("/{address}")
    async def export(address: str) -> dict[str, Any]:
        """What the tracker keeps about a person: deliveries, timeline, hits; 10,000 of each."""
        person = _address(address)
        return {"address": person, **await people.everything(person, _LIMIT)}

    @router.delete("/{address}", status_code=202)
    async def erase(address: str, confirm: Annotated[str, Query(max_length=320)] = "") -> Any:
        """Have every service remove what it keeps about a person; a suppression stays as a hash."""
        person = _address(address)
        if confirm.lower() != address.lower():
            raise invalid("confirm", "NOT_CONFIRMED", "repeat the address: ?confirm=<address>")
        event = Announcement(PersonErased(occurred_at=now(), recipient=person))
        await people.order_erasure(event)
        await relay.announce(event.id, [event])
        return {"address": person, "status": "ordered", "event_id": event.id}

    return router


def _address(text: str) -> str:
    try:
        return canonical(text)
    except InvalidAddress as error:
        raise invalid("address", "INVALID_ADDRESS", str(error)) from error
