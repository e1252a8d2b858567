"""What the ledger knows, said again: for consumers, and for a bus whose store was lost."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, model_validator

from dispatcher.announcer import Announcer
from dispatcher.store.settlements import Place, Settlements
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, decode_cursor, encode_cursor
from postfleet.instants import now, to_ms
from postfleet.problems import invalid

_PAGE = 200  # settlements of up to 50 deliveries each: some seconds of publishing


class AnnounceBody(Strict):
    since: Annotated[AwareDatetime, Field(strict=False)]
    until: Annotated[AwareDatetime | None, Field(strict=False)] = None
    cursor: str | None = None

    @model_validator(mode="after")
    def _is_a_period(self) -> "AnnounceBody":
        if self.until is not None and self.until <= self.since:
            raise ValueError("until must be after since")
        return self


def build_ledger(settlements: Settlements, announcer: Announcer) -> APIRouter:
    router = APIRouter(prefix=f"{API}/ledger", tags=["ledger"])

    @router.post("/announce", dependencies=[require(Scope.ADMIN)])
    async def announce(body: AnnounceBody) -> dict[str, Any]:
        """Announce the settlements of a period again, under the ids that their events had.

        Consumers that have applied an event do nothing; those that lost it hear it. A long period
        takes several calls: pass `next_cursor` as `cursor` until there is none. A call that fails
        may be repeated.
        """
        found = await settlements.between(
            to_ms(body.since), to_ms(body.until or now()), _place(body.cursor), _PAGE
        )
        events = await announcer.say([settlement for _, settlement in found])
        more = len(found) == _PAGE
        return {
            "settlements": len(found),
            "events": events,
            "next_cursor": _cursor(found[-1][0]) if more else None,
        }

    return router


def _cursor(place: Place) -> str:
    return encode_cursor(f"{place[0]}:{place[1]}")


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    at, _, id_ = decode_cursor(cursor).partition(":")
    if not (at.isdecimal() and at.isascii() and len(at) < 19 and id_):
        raise invalid("cursor", "BAD_CURSOR", "use next_cursor as it was given")
    return int(at), id_
