"""An index of the stubbed database: ids by value, and text also in order."""

from collections.abc import Iterable, Iterator
from typing import Any

from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from tests.bench.peers.memory_queries import hashable


class Index:
    def __init__(self) -> None:
        self._others: dict[Any, dict[Any, None]] = {}
        self._texts: SortedDict = SortedDict()

    def add(self, value: Any, id_: Any) -> None:
        self._of(value).setdefault(hashable(value), {})[id_] = None

    def remove(self, value: Any, id_: Any) -> None:
        values, key = self._of(value), hashable(value)
        del values[key][id_]
        if not values[key]:
            del values[key]

    def equal(self, values: Iterable[Any]) -> list[Any]:
        return [id_ for value in values for id_ in self._of(value).get(hashable(value), ())]

    def within(self, condition: dict[str, Any]) -> Iterator[Any]:
        """Of texts, in their order: those that the bounds of the condition leave, and maybe one more."""
        low = condition.get("$gte", condition.get("$gt"))
        high = condition.get("$lte", condition.get("$lt"))
        for text in self._texts.irange(low, high):
            yield from self._texts[text]

    def _of(self, value: Any) -> Any:
        return self._texts if isinstance(value, str) else self._others


def bounds_of_text(condition: Any) -> bool:
    """Whether an index in order answers it."""
    if not isinstance(condition, dict):
        return False
    return any(name in _BOUNDS and isinstance(value, str) for name, value in condition.items())


_BOUNDS = frozenset(("$gt", "$gte", "$lt", "$lte"))
