"""mongomock-motor, made to take the bulk writes of today's PyMongo.

PyMongo 4.11 passes `sort` to every bulk update; mongomock 4.3 does not know it. Ours never sort.
"""

from typing import Any

from mongomock.collection import BulkOperationBuilder
from mongomock_motor import AsyncMongoMockClient

_add_update = BulkOperationBuilder.add_update


def _without_sort(self: Any, *arguments: Any, sort: Any = None, **options: Any) -> Any:
    if sort is not None:
        raise NotImplementedError("mongomock cannot sort in a bulk update")
    return _add_update(self, *arguments, **options)


BulkOperationBuilder.add_update = _without_sort


def mock_database(name: str) -> Any:
    """A new, empty database in this process."""
    return AsyncMongoMockClient()[name]
