"""A small state that several replicas change: read, decide by a pure rule, write if nobody was faster."""

from collections.abc import Callable
from typing import TypeVar

from pymongo.errors import DuplicateKeyError

from postfleet.mongo import Collection, Document

_TRIES = 50

T = TypeVar("T")


class TooBusy(Exception):
    """Others changed the same state each time; the caller may come again."""


async def change(
    collection: Collection, key: str, rule: Callable[[Document | None], tuple[T, Document | None]]
) -> T:
    """Apply `rule` to the fields under `key`: it returns its result and the new fields.

    The new fields None, or equal to the old ones: nothing is written.
    """
    for _ in range(_TRIES):
        document = await collection.find_one({"_id": key})
        revision = (document or {}).get("revision", 0)
        before = {k: v for k, v in (document or {}).items() if k not in ("_id", "revision")}
        result, after = rule(before or None)
        if after is None or after == before:
            return result
        fields = {**after, "revision": revision + 1}
        if document is None:
            try:
                await collection.insert_one({"_id": key, **fields})
            except DuplicateKeyError:
                continue
            return result
        guard = {"_id": key, "revision": revision}
        if (await collection.update_one(guard, {"$set": fields})).modified_count:
            return result
    raise TooBusy(key)
