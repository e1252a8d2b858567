"""How each service's database got from one shape to the next: the only list of them.

A step runs while its service is stopped or waits; run again after a crash, it goes on. Documents of a
step are found by the step itself, for databases from before versions were written down.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_LOOK_AT = 1000  # what is oldest is read first


class CannotMigrate(Exception):
    """The text says what to do instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one version to the next. `needed` looks, `run` returns how many documents it changed."""

    what: str
    needed: Callable[[Any], Awaitable[bool]]
    run: Callable[[Any], Awaitable[int]]


async def _marks_by_sender(database: Any) -> bool:
    found = database.applied.find({}, {"key": 1}).limit(_LOOK_AT)
    return any([_is_by_sender(row) async for row in found])


def _is_by_sender(row: dict[str, Any]) -> bool:
    """`sender:second:name`, where it is now `second:name`; punishments have no key."""
    return str(row.get("key", "")).count(":") == 2


async def _marks_by_second(database: Any) -> int:
    done = 0
    async for row in database.applied.find({}):
        if _is_by_sender(row):
            key = row["key"].partition(":")[2]
            new = {**row, "_id": key, "key": key}
            await database.applied.update_one({"_id": key}, {"$set": _body(new)}, upsert=True)
            await database.applied.delete_one({"_id": row["_id"]})
            done += 1
    return done


def _body(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"}


async def _leads_of_five_indexes(database: Any) -> bool:
    lead = await database.leads.find_one({})
    return lead is not None and "campaign_id" in lead


async def _refuse_leads(database: Any) -> int:
    raise CannotMigrate(
        "leads are of the shape before imports were streams, which cannot be changed in place: write "
        "them down with the version before, empty the dispatcher's database, import them again"
    )


STEPS: dict[str, tuple[Step, ...]] = {
    "sender-registry": (Step("marks stand by second", _marks_by_sender, _marks_by_second),),
    "dispatcher": (Step("leads have one index", _leads_of_five_indexes, _refuse_leads),),
    "inbox-watcher": (),
    "tracker": (),
    "mail-provisioner": (),
}
