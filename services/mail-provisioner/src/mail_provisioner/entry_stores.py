"""MongoDB: relays and blocks. What is wanted is here; `state` tells how far the files are."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from pymongo.errors import DuplicateKeyError

from mail_provisioner.domain.blocks import Block, BlockKind
from mail_provisioner.domain.relays import EntryState, Relay
from postfleet.mongo import Collection, Document, ensure_indexes, page_by_id

_PENDING = 100

E = TypeVar("E", Relay, Block)


class EntryStore(Generic[E]):
    """One kind of entry; `_id` is its name."""

    def __init__(self, collection: Collection, load: Callable[[Document], E]) -> None:
        self._collection = collection
        self._load: Callable[[Document], E] = load

    async def prepare(self) -> None:
        await ensure_indexes(self._collection, "state")

    async def add(self, name: str, fields: Mapping[str, str | int]) -> bool:
        """False if there is one already."""
        try:
            await self._collection.insert_one(
                {"_id": name, **fields, "error_code": "", "error_reason": ""}
            )
        except DuplicateKeyError:
            return False
        return True

    async def get(self, name: str) -> E | None:
        document = await self._collection.find_one({"_id": name})
        return self._load(document) if document else None

    async def page(self, after: str, limit: int) -> list[E]:
        return [
            self._load(document) for document in await page_by_id(self._collection, after, limit)
        ]

    async def pending(self) -> list[E]:
        """What the files do not have, or still have."""
        states = [EntryState.WRITING.value, EntryState.REMOVING.value]
        found = self._collection.find({"state": {"$in": states}}).limit(_PENDING)
        return [self._load(document) async for document in found]

    async def enter(self, name: str, state: EntryState) -> None:
        await self._collection.update_one(
            {"_id": name}, {"$set": {"state": state.value, "error_code": "", "error_reason": ""}}
        )

    async def hold_up(self, name: str, code: str, reason: str) -> None:
        await self._collection.update_one(
            {"_id": name}, {"$set": {"error_code": code, "error_reason": reason}}
        )

    async def forget(self, name: str) -> None:
        await self._collection.delete_one({"_id": name})


def relay_of(document: Document) -> Relay:
    return Relay(
        domain=document["_id"],
        preset=document["preset"],
        host=document["host"],
        port=document["port"],
        username=document["username"],
        sealed_password=document["sealed_password"],
        state=EntryState(document["state"]),
        created_at=document["created_at"],
        error_code=document["error_code"],
        error_reason=document["error_reason"],
    )


def block_of(document: Document) -> Block:
    return Block(
        entry=document["_id"],
        kind=BlockKind(document["kind"]),
        reason=document["reason"],
        state=EntryState(document["state"]),
        created_at=document["created_at"],
        error_code=document["error_code"],
        error_reason=document["error_reason"],
    )
