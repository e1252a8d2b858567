"""A stub of the database at the driver: dictionaries that speak the portable dialect and cost little.

For one measurement only: what the dispatcher would do if its database cost nothing. Documents are
kept by id, with an index for each field that a store asks one for; nothing is written.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from tests.bench.peers.memory_index import Index, bounds_of_text
from tests.bench.peers.memory_queries import (
    MISSING,
    Document,
    allowed_values,
    change_document,
    get,
    group,
    matches,
)


async def _turn() -> None:
    """A driver lets others run while it waits for its server."""
    await asyncio.sleep(0)


class Cursor:
    """`ordered_by`: the field in whose order they come; no more are looked at than are asked for."""

    def __init__(self, found: Iterable[Document], ordered_by: str = "") -> None:
        self._found, self._ordered_by = found, ordered_by

    def sort(self, keys: Any, direction: int = 1) -> "Cursor":
        pairs = [(keys, direction)] if isinstance(keys, str) else list(keys)
        if pairs == [(self._ordered_by, 1)]:
            return self
        found = list(self._found)
        for key, way in reversed(pairs):
            found.sort(key=lambda d, k=key: (get(d, k) is not None, get(d, k)), reverse=way < 0)
        self._found = found
        return self

    def limit(self, count: int) -> "Cursor":
        self._found = islice(self._found, count) if count else self._found
        return self

    async def to_list(self, length: int | None = None) -> list[Document]:
        await _turn()
        return [dict(document) for document in islice(self._found, length)]

    async def __aiter__(self) -> AsyncIterator[Document]:
        await _turn()
        for document in list(self._found):
            yield dict(document)


class Collection:
    def __init__(self, name: str, database: "Database") -> None:
        self.name, self.database = name, database
        self._documents: dict[Any, Document] = {}
        self._indexes: dict[str, Index] = {}
        self._unique: set[str] = set()

    async def create_index(self, keys: Any, unique: bool = False, **_: Any) -> None:
        names = [keys] if isinstance(keys, str) else [name for name, _ in keys]
        if len(names) != 1 or names[0] in self._indexes:
            return
        index = self._indexes[names[0]] = Index()
        for id_, document in self._documents.items():
            index.add(get(document, names[0]), id_)
        if unique:
            self._unique.add(names[0])

    async def drop_index(self, keys: Any) -> None:
        [(name, _)] = keys
        if self._indexes.pop(name, None) is None:
            raise OperationFailure(f"index not found with name [{name}_1]", 27)

    # -- reading ---------------------------------------------------------------------------------

    def _ids(self, query: Document) -> Iterable[Any]:
        """The smallest set of ids that an index gives for an equality; else for bounds; or all."""
        best: list[Any] | None = None
        for field, condition in query.items():
            values = allowed_values(condition)
            if values is None or (field != "_id" and field not in self._indexes):
                continue
            if field == "_id":
                return values
            found = self._indexes[field].equal(values)
            best = found if best is None or len(found) < len(best) else best
        if best is None and (field := self._bounded(query)):
            return self._indexes[field].within(query[field])
        return list(self._documents) if best is None else best

    def _bounded(self, query: Document) -> str:
        """The field that is asked for by bounds alone, and has an index; else ""."""
        bounded = [name for name, condition in query.items() if bounds_of_text(condition)]
        alone = len(query) == 1 and len(bounded) == 1
        return bounded[0] if alone and bounded[0] in self._indexes else ""

    def _select(self, query: Document) -> Iterator[Document]:
        for id_ in self._ids(query):
            document = self._documents.get(id_)
            if document is not None and matches(document, query):
                yield document

    def find(self, query: Document | None = None, *_: Any, **__: Any) -> Cursor:
        query = query or {}
        return Cursor(self._select(query), self._bounded(query))

    async def find_one(self, query: Document | None = None, *_: Any, **__: Any) -> Document | None:
        await _turn()
        found = next(self._select(query or {}), None)
        return dict(found) if found is not None else None

    async def count_documents(self, query: Document, **_: Any) -> int:
        await _turn()
        return sum(1 for _ in self._select(query))

    def aggregate(self, pipeline: Sequence[Document]) -> Cursor:
        found: list[Document] = list(self._documents.values())
        for stage in pipeline:
            if "$match" in stage:
                found = list(self._select(stage["$match"]))
            elif "$group" in stage:
                found = group(found, stage["$group"])
            else:
                raise NotImplementedError(stage)
        return Cursor(found)

    # -- writing ---------------------------------------------------------------------------------

    def _insert(self, document: Document) -> bool:
        if document["_id"] in self._documents:
            return False
        for name in self._unique:
            value = get(document, name)
            if value is not MISSING and self._indexes[name].equal([value]):
                return False
        self._documents[document["_id"]] = document
        for name, index in self._indexes.items():
            index.add(get(document, name), document["_id"])
        return True

    def _remove(self, document: Document) -> None:
        del self._documents[document["_id"]]
        for name, index in self._indexes.items():
            index.remove(get(document, name), document["_id"])

    def _update(
        self, query: Document, change: Document, *, many: bool, upsert: bool = False
    ) -> int:
        changed = 0
        for document in list(self._select(query)):
            self._apply(document, change)
            changed += 1
            if not many:
                break
        if upsert and not changed:
            fresh = {f: v for f, v in query.items() if not isinstance(v, dict)}
            change_document(
                fresh, change | {"$set": change.get("$setOnInsert", {}) | change.get("$set", {})}
            )
            self._insert(fresh)
        return changed

    def _apply(self, document: Document, change: Document) -> None:
        before = {name: get(document, name) for name in self._indexes}
        change_document(document, change)
        for name, old in before.items():
            new = get(document, name)
            if new != old:
                self._indexes[name].remove(old, document["_id"])
                self._indexes[name].add(new, document["_id"])

    async def insert_one(self, document: Document) -> Any:
        await _turn()
        if not self._insert(document):
            raise DuplicateKeyError("E11000 duplicate key", 11000)
        return SimpleNamespace(inserted_id=document["_id"])

    async def insert_many(self, documents: Sequence[Document], ordered: bool = True) -> Any:
        return await self.bulk_write([InsertOne(document) for document in documents], ordered)

    async def update_one(self, query: Document, change: Document, upsert: bool = False) -> Any:
        await _turn()
        count = self._update(query, change, many=False, upsert=upsert)
        return SimpleNamespace(matched_count=count, modified_count=count)

    async def update_many(self, query: Document, change: Document) -> Any:
        await _turn()
        count = self._update(query, change, many=True)
        return SimpleNamespace(matched_count=count, modified_count=count)

    async def delete_one(self, query: Document) -> Any:
        await _turn()
        found = next(self._select(query), None)
        if found is not None:
            self._remove(found)
        return SimpleNamespace(deleted_count=int(found is not None))

    async def delete_many(self, query: Document) -> Any:
        await _turn()
        found = list(self._select(query))
        for document in found:
            self._remove(document)
        return SimpleNamespace(deleted_count=len(found))

    async def bulk_write(self, operations: Sequence[Any], ordered: bool = True) -> Any:
        await _turn()
        errors, inserted, changed = [], 0, 0
        for place, operation in enumerate(operations):
            if isinstance(operation, InsertOne):
                if self._insert(operation._doc):  # type: ignore[arg-type]
                    inserted += 1
                else:
                    errors.append({"index": place, "code": 11000})
            elif isinstance(operation, UpdateOne):
                one: Any = operation
                changed += self._update(one._filter, one._doc, many=False, upsert=bool(one._upsert))
            elif isinstance(operation, DeleteOne):
                await self.delete_one(operation._filter)  # type: ignore[arg-type]
            else:
                raise NotImplementedError(operation)
        if errors:
            raise BulkWriteError({"writeErrors": errors, "nInserted": inserted})
        return SimpleNamespace(inserted_count=inserted, modified_count=changed)


class Database:
    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}

    def __getattr__(self, name: str) -> Collection:
        return self[name]

    def __getitem__(self, name: str) -> Collection:
        return self._collections.setdefault(name, Collection(name, self))


class Memory:
    """In place of `postfleet.mongo.Mongo`."""

    def __init__(self, *_: Any) -> None:
        self.database = self.relaxed = self.grouped = Database()

    async def connect(self) -> None:
        """Always there."""

    async def ready(self) -> bool:
        return True

    async def flush(self) -> None:
        """There is no disk."""

    async def close(self) -> None:
        """Nothing is kept."""
