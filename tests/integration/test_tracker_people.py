"""A person asks what is kept, and has it erased; files for spreadsheets run nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postfleet.instants import now_ms
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import (
    API_KEY,
    RunningTracker,
    compiled,
    created,
    new_id,
    running_tracker,
    sent,
)
from tracker.store.people import PeopleStore

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

LINK = "00112233445566aa"
KEY = {"X-API-Key": API_KEY}
PERSON = "/api/public/v1/people/Ann@Example.org"


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


async def _kept(tracker: RunningTracker) -> dict[str, int]:
    answer = await tracker.http.get(PERSON, headers=KEY)
    assert answer.status_code == 200, answer.text
    return {k: len(v) for k, v in answer.json().items() if isinstance(v, list)}


async def test_an_erased_person_leaves_nothing_and_others_stay(tracker: RunningTracker) -> None:
    ann, bob = new_id(), new_id()
    await tracker.say(
        compiled({LINK: "https://example.com/"}), sent(ann), sent(bob, recipient="bob@example.org")
    )
    await tracker.counted(sent=2)  # the link is known by now
    for delivery in (ann, bob):
        await tracker.http.get(tracker.pixel(delivery))
        await tracker.http.get(tracker.link(delivery, LINK))
    await tracker.counted(sent=2, opened=2, clicked=2)

    async def known() -> bool:
        return await _kept(tracker) == {"deliveries": 1, "timeline": 2, "hits": 2}

    await tracker.until(known)
    assert (await tracker.http.delete(PERSON, headers=KEY)).status_code == 422
    answer = await tracker.http.delete(f"{PERSON}?confirm=ann@example.org", headers=KEY)
    assert answer.status_code == 202, answer.text

    async def gone() -> bool:
        return not any((await _kept(tracker)).values())

    await tracker.until(gone)
    database = tracker.app_database()
    for name in ("deliveries", "timelines", "hits", "firsts", "erasures"):
        texts = [str(d) async for d in database[name].find({}).limit(1000)]
        assert not [text for text in texts if "ann@example.org" in text or ann in text], name
    timeline = await tracker.get("leads/bob@example.org/timeline")
    assert len(timeline["items"]) == 3
    assert [s for s, _, _ in await tracker.events()].count("person.erased") == 1

    await tracker.http.get(tracker.pixel(ann))  # a late hit is nobody's
    await tracker.http.get(tracker.pixel(bob))

    async def bobs_second() -> bool:
        return len((await tracker.get("leads/bob@example.org/timeline"))["items"]) == 4

    await tracker.until(bobs_second)
    assert not any((await _kept(tracker)).values())
    assert (await tracker.get("overview"))["opened"] == 2


async def test_erasing_needs_an_admin_and_an_address(tracker: RunningTracker) -> None:
    assert (await tracker.http.delete(f"{PERSON}?confirm=ann@example.org")).status_code == 401
    answer = await tracker.http.get("/api/public/v1/people/nonsense", headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID")


async def test_a_spreadsheet_gets_no_formula(tracker: RunningTracker) -> None:
    nasty = '=HYPERLINK("https://evil.example","x")'
    await tracker.say(created("spring", nasty), sent(new_id()))
    await tracker.counted(sent=1)
    answer = await tracker.http.get("/api/public/v1/analytics/campaigns.csv", headers=KEY)
    assert answer.headers["content-type"].startswith("text/csv")
    heading, line = answer.text.splitlines()
    assert heading.startswith("id,name,status,sent")
    assert line.startswith("spring,\"'=HYPERLINK(")


async def test_what_is_too_old_is_forgotten_and_still_counted(
    mongo_server: MongoServer, tmp_path: Path
) -> None:
    old, young = new_id(), new_id()
    async with running_tracker(mongo_server.url, tmp_path, retention_days=30) as tracker:
        long_ago = datetime.now(UTC) - timedelta(days=31)
        await tracker.say(sent(old, occurred_at=long_ago), sent(young))
        await tracker.counted(sent=2)
        await tracker.until(lambda: _known(tracker, 2))
        await PeopleStore(tracker.app_database()).forget(now_ms() - 30 * 24 * 3600 * 1000)
        assert await _known(tracker, 1)
        assert (await tracker.get("overview"))["sent"] == 2


async def _known(tracker: RunningTracker, deliveries: int) -> bool:
    return (await _kept(tracker))["deliveries"] == deliveries
