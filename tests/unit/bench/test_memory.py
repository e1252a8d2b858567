"""The stub of the database answers as an independent implementation of the same dialect does."""

from typing import Any

import pytest
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from tests.bench.peers.memory import Database
from tests.support.mockmongo import mock_database

_PEOPLE = [
    {"_id": f"p{n}", "campaign": f"c{n % 2}", "due": n * 10, "state": "active", "more": {"n": n}}
    for n in range(8)
]


@pytest.fixture(params=["stub", "mongomock"])
async def people(request: pytest.FixtureRequest) -> Any:
    database = Database() if request.param == "stub" else mock_database("people")
    collection = database.people
    await collection.create_index("campaign")
    await collection.create_index("state")
    await collection.insert_many([dict(person) for person in _PEOPLE], ordered=False)
    return collection


async def _ids(cursor: Any) -> list[str]:
    return [document["_id"] async for document in cursor]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"campaign": "c0", "due": {"$lte": 40}}, ["p0", "p2", "p4"]),
        ({"_id": {"$in": ["p5", "p1", "nobody"]}, "state": "active"}, ["p1", "p5"]),
        ({"due": {"$gt": 10, "$lt": 40}}, ["p2", "p3"]),
        ({"more.n": 7}, ["p7"]),
        ({"more.x": {"$exists": True}}, []),
        ({"campaign": {"$in": ["c1"]}, "due": {"$gte": 50}}, ["p5", "p7"]),
        ({"absent": None, "due": 0}, ["p0"]),
    ],
    ids=str,
)
async def test_a_query_finds(people: Any, query: dict[str, Any], expected: list[str]) -> None:
    assert await _ids(people.find(query).sort("due", 1).limit(100)) == expected


async def test_a_guarded_update_takes_one_and_moves_it_in_the_index(people: Any) -> None:
    guard = {"_id": "p3", "state": "active"}
    change = {"$set": {"state": "ended", "outbox.e1": {"at": 1}}, "$inc": {"due": 5}}
    assert (await people.update_one(guard, change)).modified_count == 1
    assert (await people.update_one(guard, change)).modified_count == 0
    assert await _ids(people.find({"state": "ended"}).limit(5)) == ["p3"]
    found = await people.find_one({"_id": "p3"})
    assert (found["due"], found["outbox"]) == (35, {"e1": {"at": 1}})
    await people.update_one(
        {"_id": "p3", "outbox.e1": {"$exists": True}}, {"$unset": {"outbox.e1": ""}}
    )
    assert (await people.find_one({"_id": "p3"}))["outbox"] == {}


async def test_a_bulk_says_which_of_its_keys_were_there(people: Any) -> None:
    writes = [InsertOne({"_id": "new"}), InsertOne({"_id": "p1"}), InsertOne({"_id": "newer"})]
    with pytest.raises(BulkWriteError) as caught:
        await people.bulk_write(writes, ordered=False)
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1]
    assert await people.find_one({"_id": "newer"}) is not None
    await people.bulk_write([UpdateOne({"_id": "new"}, {"$set": {"due": 1}})], ordered=False)
    assert (await people.find_one({"_id": "new"}))["due"] == 1


async def test_groups_are_counted(people: Any) -> None:
    await people.update_many({"campaign": "c1"}, {"$set": {"state": "ended"}})
    pipeline = [{"$match": {"due": {"$lt": 60}}}, {"$group": {"_id": "$state", "n": {"$sum": 1}}}]
    rows = {row["_id"]: row["n"] async for row in people.aggregate(pipeline)}
    assert rows == {"active": 3, "ended": 3}


async def test_an_index_is_dropped_once(people: Any) -> None:
    await people.drop_index([("state", 1)])
    with pytest.raises(OperationFailure):
        await people.drop_index([("state", 1)])
    assert await _ids(people.find({"state": "active", "campaign": "c1"})) == [
        "p1",
        "p3",
        "p5",
        "p7",
    ]


@pytest.mark.parametrize(
    ("query", "limit", "expected"),
    [
        ({"queue": {"$gte": "a:2", "$lt": "b"}}, 2, ["2", "3"]),
        ({"queue": {"$gt": "a:2", "$lte": "a:5"}}, 10, ["3", "4", "5"]),
        ({"queue": {"$gte": "a:8"}}, 10, ["8", "9"]),
        ({"queue": {"$lt": "a:1"}}, 10, ["0"]),
        ({"queue": {"$gte": "b"}}, 10, []),
    ],
    ids=str,
)
async def test_bounds_of_an_indexed_text_are_read_in_its_order_also_after_changes(
    query: dict[str, Any], limit: int, expected: list[str]
) -> None:
    for database in (Database(), mock_database("queues")):
        queues = database.queues
        await queues.create_index("queue")
        put = [{"_id": str(n), "queue": f"z:{n}" if n % 2 else f"a:{n}"} for n in range(9, -1, -1)]
        await queues.insert_many(put, ordered=False)
        for n in range(1, 10, 2):
            await queues.update_one({"_id": str(n)}, {"$set": {"queue": f"a:{n}"}})
        await queues.insert_one({"_id": "no queue"})
        assert await _ids(queues.find(query).sort("queue", 1).limit(limit)) == expected
        found = await queues.find_one(query)
        assert (found is not None) == bool(expected)
