"""Rows a page at a time, what changed last first; those that changed at the same time, by id.

A row that changes while somebody turns the pages moves to the front. The database sorts by one field
only (the embedded one), so rows of one millisecond are put in order here.
"""

from collections.abc import Iterable

from dispatcher.store.delivery_rows import Row, row_of
from postfleet.mongo import Collection, Document

#: When a row changed, and its id: after which one a page begins.
Place = tuple[int, str]
_OF_ONE_TIME = 10_000


def place_of(row: Row) -> Place:
    return int(row.document["updated_at"]), row.item.delivery_id


def newest(rows: Iterable[Row], limit: int) -> list[Row]:
    return sorted(rows, key=place_of, reverse=True)[:limit]


async def page(
    collection: Collection, query: Document, limit: int, after: Place | None
) -> list[Row]:
    """Up to `limit` of the rows, from the one behind `after` on."""
    times = {} if after is None else {"updated_at": {"$lt": after[0]}}
    found = collection.find({**query, **times}).sort("updated_at", -1).limit(limit)
    rows = [row_of(document) async for document in found]
    edges = {after[0]} if after is not None else set()
    if len(rows) == limit:
        edges.add(place_of(rows[-1])[0])  # others of that time may have been cut off
    if edges:
        same = collection.find({**query, "updated_at": {"$in": sorted(edges)}}).limit(_OF_ONE_TIME)
        rows += [row_of(document) async for document in same]
    every = {row.item.delivery_id: row for row in rows}.values()
    return newest((row for row in every if after is None or place_of(row) < after), limit)
