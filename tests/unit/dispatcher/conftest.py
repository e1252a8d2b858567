"""One database, two independent implementations: what a store promises, both must keep."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from mongomock.collection import BulkOperationBuilder
from mongomock_motor import AsyncMongoMockClient

from postfleet.mongo import Mongo
from tests.support.mongo import MongoServer

_add_update = BulkOperationBuilder.add_update


def _add_update_without_sort(builder: Any, *arguments: Any, sort: Any = None, **more: Any) -> Any:
    """PyMongo 4.11 passes `sort`, which mongomock does not know yet; nobody here uses it."""
    assert sort is None
    return _add_update(builder, *arguments, **more)  # type: ignore[no-untyped-call]


BulkOperationBuilder.add_update = _add_update_without_sort  # type: ignore[assignment,method-assign]


@pytest.fixture(params=["embedded", "mongomock"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An empty database; on the embedded server (or MONGODB_URL's), and on mongomock."""
    if request.param == "mongomock":
        yield AsyncMongoMockClient()["dispatcher"]
        return
    server: MongoServer = request.getfixturevalue("mongo_server")
    mongo = Mongo(server.url, "dispatcher", server.database(f"{abs(hash(request.node.name))}_"))
    await mongo.connect()
    yield mongo.database
    await mongo.close()
