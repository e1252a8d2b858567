"""Databases of another shape: services wait and say so, `postfleet migrate` mends what can be mended."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from postfleet import mongo as mongo_module
from postfleet.mongo import Mongo, database_name
from postfleet.shapes import version_of
from postfleet_cli.doctor import database
from postfleet_cli.main import app
from postfleet_cli.routes import SERVICES
from tests.support.mongo import MongoServer


@pytest.fixture
def databases(mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Service -> its database, empty, on a real server."""
    prefix = mongo_server.database("shapes_")
    monkeypatch.setenv("MONGODB_URL", mongo_server.url)
    monkeypatch.setenv("POSTFLEET_DATABASE_PREFIX", prefix)
    monkeypatch.setattr(mongo_module, "_LOOK_AGAIN_S", 0.05)
    client: Any = MongoClient(mongo_server.url)
    yield lambda service: client[database_name(service, prefix)]
    for service in SERVICES:
        client.drop_database(database_name(service, prefix))
    client.close()


@pytest.fixture
def connected(mongo_server: MongoServer, databases: Any) -> Any:
    return lambda service: Mongo(mongo_server.url, service, mongo_server.database("shapes_"))


def _migrate(*options: str) -> Result:
    return CliRunner().invoke(app, ["migrate", *options])


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


OLD_MARK = {"_id": "0af3:000001700000:n", "key": "0af3:000001700000:n", "at": 5, "marks": ["m"]}


@pytest.mark.parametrize("service", SERVICES)
async def test_the_first_start_writes_the_version_and_the_next_one_finds_it(
    service: str, databases: Any, connected: Any
) -> None:
    for _ in range(2):
        mongo = connected(service)
        await mongo.connect()
        assert await mongo.ready()
        await mongo.close()
    assert databases(service).meta.find_one({"_id": "shape"})["version"] == version_of(service)


async def test_documents_of_today_without_a_version_are_taken_as_they_are(
    databases: Any, connected: Any
) -> None:
    databases("dispatcher").leads.insert_one({"_id": "c:l", "queue": "c:active:0"})
    mongo = connected("dispatcher")
    await mongo.connect()
    assert databases("dispatcher").meta.find_one({})["version"] == version_of("dispatcher")
    await mongo.close()


async def test_a_service_waits_for_the_migration_says_so_once_and_goes_on_by_itself(
    databases: Any, connected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    databases("sender-registry").applied.insert_one(OLD_MARK)
    mongo = connected("sender-registry")
    with caplog.at_level(logging.ERROR):
        starting = asyncio.create_task(mongo.connect())
        await _until(lambda: bool(caplog.records))
        await asyncio.sleep(0.2)  # it looks again several times
    assert not await mongo.ready()
    assert not starting.done()
    [said] = caplog.messages
    assert "shape 1, this program works on 2" in said
    assert "postfleet migrate --yes" in said
    done = await asyncio.to_thread(_migrate, "--yes")
    assert done.exit_code == 0, done.output
    async with asyncio.timeout(30):
        await starting
    assert await mongo.ready()
    await mongo.close()


@pytest.mark.parametrize("version", [99, 0, "two"])
async def test_a_newer_or_unknown_shape_is_not_worked_on_nor_migrated(
    version: object, databases: Any, connected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    databases("tracker").meta.insert_one({"_id": "shape", "version": version})
    databases("sender-registry").applied.insert_one(OLD_MARK)
    mongo = connected("tracker")
    starting = asyncio.create_task(mongo.connect())
    await _until(lambda: bool(caplog.records))
    assert "or restore a backup" in caplog.messages[0]
    assert not await mongo.ready()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await mongo.close()
    done = await asyncio.to_thread(_migrate, "--yes")
    assert done.exit_code == 1
    assert "nothing was changed" in str(done.exception)
    assert databases("sender-registry").applied.find_one({}) == OLD_MARK


def test_a_dry_run_tells_and_changes_nothing(databases: Any) -> None:
    databases("sender-registry").applied.insert_one(OLD_MARK)
    told = json.loads(_migrate("--json").stdout)["databases"]
    [registry] = [one for one in told if one["steps"]]
    assert (registry["service"], registry["version"], registry["wanted"]) == (
        "sender-registry",
        1,
        2,
    )
    assert registry["changed"] == 0
    assert databases("sender-registry").applied.find_one({}) == OLD_MARK
    assert databases("sender-registry").meta.find_one({}) is None
    assert "--yes does it" in _migrate().stdout


def test_marks_stand_by_second_afterwards_however_often_it_runs(databases: Any) -> None:
    applied = databases("sender-registry").applied
    new = {"_id": "000001700001:k", "key": "000001700001:k", "at": 6, "marks": ["n"]}
    penalty = {"_id": "penalty:-5:d1", "at": 7}
    half_done = {"_id": "000001700000:n", "key": "000001700000:n", "at": 5, "marks": ["m"]}
    applied.insert_many([OLD_MARK, new, penalty, half_done])
    for changed in (1, 0):
        told = json.loads(_migrate("--yes", "--json").stdout)["databases"]
        assert [one["changed"] for one in told if one["service"] == "sender-registry"] == [changed]
        rows = {row["_id"]: row for row in applied.find({})}
        assert rows == {row["_id"]: row for row in (half_done, new, penalty)}


def test_leads_of_the_old_shape_are_refused_with_the_remedy(databases: Any) -> None:
    databases("dispatcher").leads.insert_one({"_id": "c:l", "campaign_id": "c", "lead_id": "l"})
    done = _migrate("--yes")
    assert done.exit_code == 1
    assert "import them again" in str(done.exception)
    assert databases("dispatcher").leads.find_one({})["campaign_id"] == "c"


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    done = _migrate()
    assert "MONGODB_URL says where it is" in str(done.exception)


@pytest.mark.parametrize(
    ("version", "state", "said"),
    [
        pytest.param(None, "ok", "", id="a database of today"),
        pytest.param(99, "trouble", "or restore a backup", id="a newer one"),
        pytest.param(0, "trouble", "unknown", id="one that says nothing sensible"),
    ],
)
async def test_doctor_tells_of_another_shape(
    version: int | None, state: str, said: str, databases: Any, mongo_server: MongoServer
) -> None:
    if version is not None:
        databases("tracker").meta.insert_one({"_id": "shape", "version": version})
    databases("sender-registry").applied.insert_one(OLD_MARK)
    prefix = mongo_server.database("shapes_")
    findings, _ = await database.look(mongo_server.url, prefix, embedded=True)
    by_check = {one.check: one for one in findings}
    tracker, registry = by_check["shape of tracker"], by_check["shape of sender-registry"]
    assert tracker.state == state
    assert said in f"{tracker.detail} {tracker.remedy}"
    assert registry.state == "trouble"
    assert "postfleet migrate --yes" in registry.remedy
