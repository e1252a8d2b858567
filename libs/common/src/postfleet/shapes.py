"""Which shape a service's documents have: `{_id: "shape", version}` in its collection `meta`.

A service works on its own version only; `postfleet migrate` makes an older one so.
"""

from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError

from postfleet.migrations import STEPS, Step

_ID = "shape"


class WrongShape(Exception):
    """The database is of another version; the text says which, and the remedy."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database is: its version (0: it is empty), and the steps that are missing."""

    service: str
    version: int
    wanted: int
    missing: tuple[Step, ...]


def version_of(service: str) -> int:
    """The version that this program works on."""
    return 1 + len(STEPS[service])


async def standing(database: Any, service: str) -> Standing:
    """Read where a database is; nothing is written. A version that is no number counts as 0."""
    written = await database.meta.find_one({"_id": _ID})
    version = await _unwritten(database, service) if written is None else written.get("version")
    known = version if type(version) is int and version > 0 else 0
    missing = STEPS[service][known - 1 :] if known else ()
    return Standing(service, known, version_of(service), missing)


async def agree(database: Any, service: str) -> None:
    """Raise WrongShape unless the documents are as this program wants; an empty database becomes so."""
    written = await database.meta.find_one({"_id": _ID}, {"version": 1})
    if written is not None and written.get("version") == version_of(service):
        return
    found = await standing(database, service)
    if written is None and not found.missing:
        await write(database, found.wanted)
        return
    raise WrongShape(_said(found))


async def write(database: Any, version: int) -> None:
    """Say the version. Two processes that start together both may."""
    try:
        await database.meta.update_one({"_id": _ID}, {"$set": {"version": version}}, upsert=True)
    except DuplicateKeyError:
        await database.meta.update_one({"_id": _ID}, {"$set": {"version": version}})


def is_newer(found: Standing) -> bool:
    return found.version > found.wanted


async def _unwritten(database: Any, service: str) -> int:
    """A database from before versions were written: the first step that it needs tells its age."""
    if not await database.list_collection_names():
        return version_of(service)
    for place, step in enumerate(STEPS[service]):
        if await step.needed(database):
            return place + 1
    return version_of(service)


def _said(found: Standing) -> str:
    where = f"the database of {found.service} has shape {found.version or 'unknown'}, this program"
    where += f" works on {found.wanted}"
    if found.missing:
        return f"{where}: run `postfleet migrate --yes`; this service goes on by itself then"
    return f"{where}: run the version that wrote it or a newer one, or restore a backup"
