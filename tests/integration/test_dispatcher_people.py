"""What people and operators decide, in a running dispatcher: lists, comings back, erasure."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.tracking import PersonErased, RecipientResubscribed, RecipientUnsubscribed
from postfleet.instants import now
from tests.support.dispatcher import Dispatcher, DispatcherWorld

CSV = {"Content-Type": "text/csv"}
ANN, BOB = "accept+ann@people.test", "accept+bob@people.test"


@pytest.fixture
async def one(world: DispatcherWorld) -> Dispatcher:
    dispatcher = world.dispatcher()
    await dispatcher.start()
    return dispatcher


@pytest.fixture
async def tracker(world: DispatcherWorld) -> AsyncIterator[Bus]:
    bus = Bus(world.nats.url, "tracker")
    await bus.connect()
    yield bus
    await bus.stop()


async def entries(one: Dispatcher) -> dict[str, set[str]]:
    """Whom the API shows as suppressed, and why."""
    found = await one.api("GET", "/suppressions")
    return {item["entry"]: set(item["kinds"]) for item in found["items"]}


async def test_suppressions_come_and_go_as_csv_and_no_cell_of_them_is_a_formula(
    one: Dispatcher,
) -> None:
    listed = (
        "email,kind,reason,note\n"
        "Ann@People.test,unsubscribe,asked by phone,\n"
        "@spam.test,,=cmd|' /C calc'!A0,\n"
        "no address,manual,why,\n"
        "bob@people.test,whim,why,\n"
        "ann@people.test,unsubscribe,again,\n"
        "'=formula@people.test,bounce,'+1,\n"
    )
    report = await one.api("POST", "/suppressions/import", content=listed.encode(), headers=CSV)
    assert (report["imported"], report["duplicates"], report["invalid"]) == (3, 1, 2)
    bad = {(error["row"], error["field"]) for error in report["rows"]}
    assert bad == {(4, "email"), (5, "kind")}
    assert await entries(one) == {
        "@spam.test": {"manual"},
        "=formula@people.test": {"bounce"},
        "ann@people.test": {"unsubscribe"},
    }

    exported = await one.http.get("/suppressions/export")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in exported.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert {row["entry"]: (row["kind"], row["reason"]) for row in rows} == {
        "'@spam.test": ("manual", "'=cmd|' /C calc'!A0"),
        "'=formula@people.test": ("bounce", "'+1"),
        "ann@people.test": ("unsubscribe", "asked by phone"),
    }
    back = await one.api(
        "POST", "/suppressions/import", content=exported.content, headers=CSV
    )  # the way back: nothing is new, nothing is lost
    assert (back["imported"], back["invalid"]) == (0, 0)

    for content, headers, status, field in (
        (b"name,reason\nx,y\n", CSV, 422, "body"),
        (b"email\nx@people.test\n", {"Content-Type": "application/json"}, 415, None),
    ):
        answer = await one.http.post("/suppressions/import", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert [e["field"] for e in answer.json().get("errors", [])] == ([field] if field else [])


async def test_who_comes_back_gets_mail_again_unless_something_else_speaks_against_it(
    world: DispatcherWorld, one: Dispatcher, tracker: Bus
) -> None:
    for address in (ANN, BOB):
        await tracker.publish(
            Announcement(RecipientUnsubscribed(occurred_at=now(), recipient=address, method="page"))
        )
    bounced = {"entry": BOB, "reason": "550", "kind": "bounce"}
    await world.until(lambda: _has(one, BOB, "unsubscribe"), "both left", one.tail)
    await one.api("POST", "/suppressions", json=bounced)
    back = [RecipientResubscribed(occurred_at=now(), recipient=a.upper()) for a in (ANN, BOB)]
    for event in [*back, *back]:  # once more changes nothing
        await tracker.publish(Announcement(event))

    async def lifted() -> bool:
        return await entries(one) == {BOB: {"bounce"}}

    await world.until(lifted, "what they had decided is lifted", one.tail)
    campaign = await world.campaign(one, [ANN, BOB])
    rows = await world.settled(campaign, 2)
    assert {address: row["state"] for address, row in rows.items()} == {
        ANN: "accepted", BOB: "skipped",
    }  # fmt: skip


async def _has(one: Dispatcher, entry: str, kind: str) -> bool:
    return kind in (await entries(one)).get(entry, set())


async def test_an_erased_person_is_nowhere_in_the_database_and_is_not_mailed_again(
    world: DispatcherWorld, one: Dispatcher, tracker: Bus
) -> None:
    campaign = await world.campaign(one, [ANN, BOB])
    await world.settled(campaign, 2)
    own = {"to": [ANN], "from": "s1", "subject": "Hello Ann", "text": "Hi"}
    message = await one.api("POST", "/messages", json=own)
    await world.settled("", 1)
    await one.api("POST", "/suppressions", json={"entry": ANN, "reason": "asked"})
    erased = PersonErased(occurred_at=now(), recipient=ANN)
    for _ in range(2):
        await tracker.publish(Announcement(erased))

    async def gone() -> bool:
        row = await world.database.deliveries.find_one({"_id": message["id"]})
        return bool(row and row.get("reason") == "erased")

    await world.until(gone, "the rows are erased", one.tail)
    left = await _mentions(world, "ann@people.test")
    assert left == {"messages"}, "the content of a mail of its own is kept until it expires"
    found = await one.api("GET", "/deliveries", params={"recipient": ANN})
    assert (found["leads"], found["items"], found["suppressed"]) == ([], [], "asked")
    again = await world.campaign(one, [ANN])
    rows = await world.settled(again, 1)
    assert {row["state"] for row in rows.values()} == {"skipped"}


async def _mentions(world: DispatcherWorld, address: str) -> set[str]:
    """The collections with a document that holds the address."""
    found = set()
    for name in await world.database.list_collection_names():
        documents: list[Any] = [d async for d in world.database[name].find({}).limit(10_000)]
        if any(address in str(document).lower() for document in documents):
            found.add(name)
    return found
