"""Queries and updates of the portable dialect on dictionaries: what `memory` is made of."""

from collections.abc import Callable, Iterable
from typing import Any

Document = dict[str, Any]
MISSING = object()

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$lt": lambda a, b: a is not MISSING and a is not None and a < b,
    "$lte": lambda a, b: a is not MISSING and a is not None and a <= b,
    "$gt": lambda a, b: a is not MISSING and a is not None and a > b,
    "$gte": lambda a, b: a is not MISSING and a is not None and a >= b,
    "$in": lambda a, b: (None if a is MISSING else a) in b,
    "$exists": lambda a, b: (a is not MISSING) == bool(b),
    "$ne": lambda a, b: a != b,
}


def get(document: Document, path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
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
    return bool((None if value is MISSING else value) == condition)


def matches(document: Document, query: Document) -> bool:
    for field, condition in query.items():
        if field == "$or":
            if not any(matches(document, one) for one in condition):
                return False
        elif not _holds(get(document, field), condition):
            return False
    return True


def allowed_values(condition: Any) -> list[Any] | None:
    """The values that an equality allows; None for any other condition."""
    if not isinstance(condition, dict):
        return [condition]
    return list(condition["$in"]) if "$in" in condition else None


def hashable(value: Any) -> Any:
    return None if value is MISSING else value if value.__hash__ else repr(value)


def change_document(document: Document, change: Document) -> None:
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


def group(documents: Iterable[Document], stage: Document) -> list[Document]:
    groups: dict[Any, Document] = {}
    for document in documents:
        key = stage["_id"]
        value = get(document, key[1:]) if isinstance(key, str) else None
        row = groups.setdefault(value, {"_id": value})
        for name, sum_ in stage.items():
            if name != "_id":
                one = sum_["$sum"]
                amount = get(document, one[1:]) if isinstance(one, str) else one
                row[name] = row.get(name, 0) + (0 if amount is MISSING else amount or 0)
    return list(groups.values())
