"""Databases as files: one `.bson.gz` for each collection, as `mongodump --gzip` writes them.

No snapshot is needed, because of the order: within the dispatcher what causes comes before what
follows (leads, batches, attempts, settlements, rows). A cause without what followed is done again
under the same keys; the other way round something would be lost.
"""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import bson

from postfleet.mongo import database_name
from postfleet_cli.routes import SERVICES

_FIRST = ("dispatcher", "inbox-watcher", "tracker", "sender-registry", "mail-provisioner")
_CAUSES_FIRST = (
    *("campaigns", "leads", "messages", "attachments"),
    *("batches", "attempts", "settlements", "deliveries"),
)
_READ, _WRITE = 500, 500
Progress = Callable[[int], None]


def names(prefix: str) -> list[str]:
    """The services' databases, in the order in which they are read."""
    assert set(_FIRST) == set(SERVICES)
    return [database_name(service, prefix) for service in _FIRST]


async def collections(client: Any, database: str) -> list[str]:
    """In the order in which they are read; what belongs to the server is left out."""
    found = await client[database].list_collection_names()
    place = {name: number for number, name in enumerate(_CAUSES_FIRST)}
    ours = [name for name in found if not name.startswith("system.")]
    return sorted(ours, key=lambda name: (place.get(name, len(place)), name))


async def dump(collection: Any, file: Path, progress: Progress) -> int:
    """Write every document; returns how many."""
    count = 0
    with gzip.open(file, "wb", compresslevel=3) as out:
        async for document in collection.find({}).batch_size(_READ):
            out.write(bson.encode(document))
            count += 1
            if count % _READ == 0:
                progress(_READ)
    progress(count % _READ)
    return count


async def load(collection: Any, file: Path, progress: Progress) -> int:
    """Insert every document of a file; returns how many."""
    count = 0
    waiting: list[Any] = []
    with gzip.open(file, "rb") as source:
        for document in bson.decode_file_iter(cast(IO[bytes], source)):
            waiting.append(document)
            if len(waiting) == _WRITE:
                count += await _insert(collection, waiting, progress)
    return count + await _insert(collection, waiting, progress)


async def _insert(collection: Any, waiting: list[Any], progress: Progress) -> int:
    done = len(waiting)
    if waiting:
        await collection.insert_many(waiting, ordered=False)
        progress(done)
        waiting.clear()
    return done


async def occupied(client: Any, databases: Sequence[str]) -> list[str]:
    """Those of these databases that hold a document."""
    return [
        f"{database}/{name}"
        for database in databases
        for name in await collections(client, database)
        if await client[database][name].find_one({}) is not None
    ]
