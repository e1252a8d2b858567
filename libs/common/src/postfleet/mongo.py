"""The database client: made here and nowhere else. Stores speak the portable dialect of docs/."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern, monitoring
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.uri_parser import parse_uri

from postfleet import metrics, shapes
from postfleet.migrations import STEPS

log = logging.getLogger(__name__)

Document = dict[str, Any]
Database = Any  # motor ships no types
Collection = Any
Flush = Callable[[], Awaitable[None]]  # returns when what was written before is on disk

_SELECTION_TIMEOUT_MS = 5000
_DUPLICATE_KEY = 11000
_LOOK_AGAIN_S = 2.0  # whether a database of another shape was migrated


class _Measured(monitoring.CommandListener):
    """Times every command; there are a few dozen names at most, and the driver chooses them."""

    def __init__(self, service: str) -> None:
        self._service = service

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing is known yet."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        seconds = event.duration_micros / 1e6
        metrics.mongo_seconds.labels(self._service, event.command_name).observe(seconds)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        metrics.mongo_failures.labels(self._service, event.command_name).inc()


class Mongo:
    """One service's connection and its own database, named after the service.

    `w=1` in the URL says that there is one server and no replica set. Its journal is one sequence
    (SQLite's WAL, WiredTiger's log): one write that waits for the disk takes all before it there.
    """

    def __init__(self, url: str, service: str, prefix: str = "") -> None:
        self._one_server = _acknowledged_by(url) == 1
        self._service = service
        self._shaped = True
        w = 1 if self._one_server else "majority"
        self._client: Any = AsyncIOMotorClient(
            url,
            appname=service,
            serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
            w=w,
            journal=True,
            retryWrites=False,  # the writes that matter are guarded, and the embedded server has none
            uuidRepresentation="standard",
            event_listeners=[_Measured(service)],
        )
        name = database_name(service, prefix)
        self.database: Database = self._client[name]
        #: For what follows from facts that are journaled: it is written in the same order, but
        #: nobody waits for the disk. A power cut may take the last of it, never a fact before it.
        self.relaxed: Database = self._client.get_database(
            name, write_concern=WriteConcern(w, j=False)
        )
        #: For facts that take several statements; they are facts only after a `flush`. The embedded
        #: server would else wait for the disk once for each of them.
        self.grouped: Database = self.relaxed if self._one_server else self.database

    async def flush(self) -> None:
        """Return when everything written to `grouped` before is on disk."""
        if self._one_server:
            mark = {"$set": {"at": time.time_ns()}}  # a write that changes nothing is none
            await self.database.journal.update_one({"_id": "flush"}, mark, upsert=True)

    async def connect(self) -> None:
        """Wait until the server answers, and the documents have the shape that this program wants."""
        while not await self._answers():
            log.warning("waiting for MongoDB")
            await asyncio.sleep(1)
        said = ""
        while self._service in STEPS and (wrong := await self._wrong_shape()):
            if wrong != said:
                log.error("%s", wrong)
                said = wrong
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _wrong_shape(self) -> str:
        """What is wrong, if anything is; meanwhile this is not ready."""
        try:
            await shapes.agree(self.database, self._service)
        except shapes.WrongShape as wrong:
            self._shaped = False
            return str(wrong)
        except PyMongoError as error:
            return f"the database fails, tried again soon: {error}"
        self._shaped = True
        return ""

    async def ready(self) -> bool:
        return self._shaped and await self._answers()

    async def _answers(self) -> bool:
        try:
            await self._client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    async def close(self) -> None:
        self._client.close()


async def each_is_durable() -> None:
    """The flush of a collection whose every write waits for the disk."""


def _acknowledged_by(url: str) -> int | str | None:
    """The `w` of a URL; a name to be looked up (mongodb+srv) is never one server."""
    if not url.startswith("mongodb://"):
        return None
    found: int | str | None = parse_uri(url)["options"].get("w")
    return found


def operators_client(url: str, *, timeout_ms: int = _SELECTION_TIMEOUT_MS) -> Any:
    """All databases, for who looks after them: backup, restore, doctor. No service uses it."""
    return AsyncIOMotorClient(
        url,
        appname="postfleet-cli",
        serverSelectionTimeoutMS=timeout_ms,
        w="majority",
        journal=True,
        retryWrites=False,
        uuidRepresentation="standard",
    )


def database_name(service: str, prefix: str = "") -> str:
    """A service's own database."""
    return prefix + service.replace("-", "_")


async def page_by_id(collection: Collection, after: str, limit: int) -> list[Document]:
    """Up to `limit` documents whose ids follow `after`, in the order of their ids."""
    found = collection.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
    return [document async for document in found]


async def all_by_id(collection: Collection, together: int = 500) -> AsyncIterator[Document]:
    """Every document in the order of their ids, `together` of them read at once."""
    after = ""
    while page := await page_by_id(collection, after, together):
        for document in page:
            yield document
        if len(page) < together:
            return
        after = page[-1]["_id"]


async def ensure_indexes(
    collection: Collection, *fields: str, unique: tuple[str, ...] = ()
) -> None:
    """Single-field indexes: the embedded server uses a compound index only beside them."""
    for name in fields:
        await collection.create_index(name)
    for name in unique:
        await collection.create_index(name, unique=True)


def duplicates(error: BulkWriteError) -> list[int]:
    """The places in the bulk whose key was there already. Raises `error` if anything else is wrong."""
    details = error.details or {}
    problems = details.get("writeErrors") or []
    others = [problem for problem in problems if problem.get("code") != _DUPLICATE_KEY]
    if others or not problems or details.get("writeConcernErrors"):
        raise error
    return [problem["index"] for problem in problems]
