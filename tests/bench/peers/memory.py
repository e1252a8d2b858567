"""A stub of the database at the driver: dictionaries that speak the portable dialect and cost little.

For one measurement only: what the dispatcher would do if its database cost nothing. Documents are
kept by id, with a hash index for each field that a store asks an index for; nothing is written.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

Document = dict[str, Any]
_MISSING = object()

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$lt": lambda a, b: a is not _MISSING and a is not None and a < b,
    "$lte": lambda a, b: a is not _MISSING and a is not None and a <= b,
    "$gt": lambda a, b: a is not _MISSING and a is not None and a > b,
    "$gte": lambda a, b: a is not _MISSING and a is not None and a >= b,
    "$in": lambda a, b: (None if a is _MISSING else a) in b,
    "$exists": lambda a, b: (a is not _MISSING) == bool(b),
    "$ne": lambda a, b: a != b,
}


async def _turn() -> None:
    """A driver lets others run while it waits for its server."""
    await asyncio.sleep(0)


def _get(document: Document, path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _holder(document: Document, path: str) -> tuple[Document, str]:
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    return document, last


def _holds(value: Any, condition: Any) -> bool:
    if isinstance(condition, dict) and any(key.startswith("$") for key in condition):
        return all(_COMPARE[operator](value, wanted) for operator, wanted in condition.items())
    return bool((None if value is _MISSING else value) == condition)


def _matches(document: Document, query: Document) -> bool:
    for field, condition in query.items():
        if field == "$or":
            if not any(_matches(document, one) for one in condition):
                return False
        elif not _holds(_get(document, field), condition):
            return False
    return True


class Cursor:
    def __init__(self, found: Iterable[Document]) -> None:
        self._found = list(found)

    def sort(self, keys: Any, direction: int = 1) -> "Cursor":
        pairs = [(keys, direction)] if isinstance(keys, str) else list(keys)
        for key, way in reversed(pairs):
            self._found.sort(
                key=lambda d, k=key: (_get(d, k) is not None, _get(d, k)), reverse=way < 0
            )
        return self

    def limit(self, count: int) -> "Cursor":
        self._found = self._found[:count] if count else self._found
        return self

    async def to_list(self, length: int | None = None) -> list[Document]:
        await _turn()
        return [dict(document) for document in self._found[:length]]

    async def __aiter__(self) -> AsyncIterator[Document]:
        await _turn()
        for document in self._found:
            yield dict(document)


class Collection:
    def __init__(self, name: str) -> None:
        self.name = name
        self._documents: dict[Any, Document] = {}
        self._indexes: dict[str, dict[Any, dict[Any, None]]] = {}
        self._unique: set[str] = set()

    async def create_index(self, keys: Any, unique: bool = False, **_: Any) -> None:
        names = [keys] if isinstance(keys, str) else [name for name, _ in keys]
        if len(names) != 1 or names[0] in self._indexes:
            return
        index: dict[Any, dict[Any, None]] = defaultdict(dict)
        for id_, document in self._documents.items():
            index[_hashable(_get(document, names[0]))][id_] = None
        self._indexes[names[0]] = index
        if unique:
            self._unique.add(names[0])

    # -- reading ---------------------------------------------------------------------------------

    def _ids(self, query: Document) -> Iterable[Any]:
        """The smallest set of ids that an index gives for an equality, or all."""
        best: list[Any] | None = None
        for field, condition in query.items():
            values = _values(condition)
            if values is None or (field != "_id" and field not in self._indexes):
                continue
            if field == "_id":
                return values
            index = self._indexes[field]
            found = [id_ for value in values for id_ in index.get(_hashable(value), ())]
            best = found if best is None or len(found) < len(best) else best
        return list(self._documents) if best is None else best

    def _select(self, query: Document) -> Iterator[Document]:
        for id_ in self._ids(query):
            document = self._documents.get(id_)
            if document is not None and _matches(document, query):
                yield document

    def find(self, query: Document | None = None, *_: Any, **__: Any) -> Cursor:
        return Cursor(self._select(query or {}))

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
                found = _group(found, stage["$group"])
            else:
                raise NotImplementedError(stage)
        return Cursor(found)

    # -- writing ---------------------------------------------------------------------------------

    def _insert(self, document: Document) -> bool:
        if document["_id"] in self._documents:
            return False
        for name in self._unique:
            value = _get(document, name)
            if value is not _MISSING and self._indexes[name].get(_hashable(value)):
                return False
        self._documents[document["_id"]] = document
        for name, index in self._indexes.items():
            index[_hashable(_get(document, name))][document["_id"]] = None
        return True

    def _remove(self, document: Document) -> None:
        del self._documents[document["_id"]]
        for name, index in self._indexes.items():
            index[_hashable(_get(document, name))].pop(document["_id"], None)

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
            _change(
                fresh, change | {"$set": change.get("$setOnInsert", {}) | change.get("$set", {})}
            )
            self._insert(fresh)
        return changed

    def _apply(self, document: Document, change: Document) -> None:
        before = {name: _hashable(_get(document, name)) for name in self._indexes}
        _change(document, change)
        for name, old in before.items():
            new = _hashable(_get(document, name))
            if new != old:
                self._indexes[name][old].pop(document["_id"], None)
                self._indexes[name][new][document["_id"]] = None

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
        return self._collections.setdefault(name, Collection(name))


class Memory:
    """In place of `postfleet.mongo.Mongo`."""

    def __init__(self, *_: Any) -> None:
        self.database = self.relaxed = Database()

    async def connect(self) -> None:
        """Always there."""

    async def ready(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing is kept."""


def _values(condition: Any) -> list[Any] | None:
    """The values that an equality allows; None for any other condition."""
    if not isinstance(condition, dict):
        return [condition]
    return list(condition["$in"]) if "$in" in condition else None


def _hashable(value: Any) -> Any:
    return None if value is _MISSING else value if value.__hash__ else repr(value)


def _change(document: Document, change: Document) -> None:
    for operator, fields in change.items():
        for path, value in fields.items():
            holder, last = _holder(document, path)
            if operator == "$set":
                holder[last] = value
            elif operator == "$inc":
                holder[last] = holder.get(last, 0) + value
            elif operator == "$unset":
                holder.pop(last, None)
            elif operator != "$setOnInsert":
                raise NotImplementedError(operator)


def _group(documents: Iterable[Document], stage: Document) -> list[Document]:
    groups: dict[Any, Document] = {}
    for document in documents:
        key = stage["_id"]
        value = _get(document, key[1:]) if isinstance(key, str) else None
        row = groups.setdefault(value, {"_id": value})
        for name, sum_ in stage.items():
            if name != "_id":
                one = sum_["$sum"]
                amount = _get(document, one[1:]) if isinstance(one, str) else one
                row[name] = row.get(name, 0) + (0 if amount is _MISSING else amount or 0)
    return list(groups.values())
