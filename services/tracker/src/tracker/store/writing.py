"""Inserts and guarded updates for which a known key means: this was done before."""

from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from postfleet.mongo import Collection, Document, duplicates

_CHUNK = 500


async def insert_new(collection: Collection, documents: Sequence[Document]) -> bool:
    """Insert the documents whose `_id` is not there yet; the others stay. Returns whether any was."""
    met = False
    for start in range(0, len(documents), _CHUNK):
        try:
            await collection.insert_many(list(documents[start : start + _CHUNK]), ordered=False)
        except BulkWriteError as error:
            duplicates(error)
            met = True
    return met


async def write_guarded(collection: Collection, operations: Sequence[Any]) -> None:
    """Guarded upserts: where the guard does not hold, the insert meets the document and is dropped."""
    for start in range(0, len(operations), _CHUNK):
        try:
            await collection.bulk_write(list(operations[start : start + _CHUNK]), ordered=False)
        except BulkWriteError as error:
            duplicates(error)
