"""What waits for the disk, and when: the write concerns of one server and of a replica set."""

from typing import Any

import pytest

from postfleet.mongo import Mongo
from tests.support.mongo import MongoServer

ONE, SET = "mongodb://127.0.0.1:1/?w=1", "mongodb://a:1,b:2/x?replicaSet=rs0"


def concern(collection: Any) -> dict[str, Any]:
    return dict(collection.write_concern.document)


@pytest.mark.parametrize(
    ("url", "w"),
    [
        pytest.param(ONE, 1, id="one server says so in its URL"),
        pytest.param("mongodb://127.0.0.1:1/", "majority", id="a URL that says nothing"),
        pytest.param(SET, "majority", id="a replica set"),
    ],
)
async def test_facts_wait_for_the_disk_and_what_follows_from_them_does_not(
    url: str, w: int | str
) -> None:
    """The embedded server leaves what the last write wanted in force unless `w` is a number."""
    mongo = Mongo(url, "dispatcher")
    assert concern(mongo.database.facts) == {"w": w, "j": True}
    assert concern(mongo.relaxed.rows) == {"w": w, "j": False}
    await mongo.close()


async def test_on_one_server_many_facts_wait_together_in_a_replica_set_each_for_itself() -> None:
    one, many = Mongo(ONE, "dispatcher"), Mongo(SET, "dispatcher")
    assert concern(one.grouped.facts) == {"w": 1, "j": False}
    assert concern(many.grouped.facts) == {"w": "majority", "j": True}
    await many.flush()  # asks nobody: there is no server
    await one.close()
    await many.close()


async def test_a_flush_is_a_journaled_write_every_time(mongo_server: MongoServer) -> None:
    mongo = Mongo(mongo_server.url, "flushing", mongo_server.prefix)
    await mongo.grouped.facts.insert_many([{"_id": str(n)} for n in range(3)])
    seen = set()
    for _ in range(3):
        await mongo.flush()
        seen.add((await mongo.database.journal.find_one({"_id": "flush"}))["at"])
    assert len(seen) == 3
    assert await mongo.database.facts.find_one({"_id": "2"})
    await mongo.close()
