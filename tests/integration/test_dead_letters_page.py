"""The dashboard's dead letters: shown as they are, tried again by their service, dropped when asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from postfleet.cloudevents import Announcement
from postfleet.events.inbox import ReplyDetected
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import (
    API_KEY,
    READ_KEY,
    RunningTracker,
    new_id,
    running_tracker,
    sent,
)

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")
_PATH = "/dashboard/dead-letters"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


async def _log_in(tracker: RunningTracker, key: str = API_KEY) -> dict[str, str]:
    answer = await tracker.http.post("/login", data={"key": key})
    assert answer.status_code == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def _reply() -> Announcement:
    facts = sent(new_id()).model_dump(include=set(ReplyDetected.model_fields))
    return Announcement(ReplyDetected(**facts, text=f"Yes {NASTY}"))


async def _bury(
    tracker: RunningTracker, durable: str, said: Announcement, body: bytes | None = None
) -> int:
    """As the bus would; the number of the dead letter."""
    headers = {
        **said.headers("inbox-watcher"),
        "Nats-Msg-Id": new_id(),
        "x-dead-reason": f"ValueError: {NASTY}",
        "x-dead-durable": durable,
        "x-dead-subject": said.subject,
        "x-dead-stream": "EVENTS",
        "x-dead-sequence": "7",
        "x-dead-deliveries": "5",
    }
    ack = await tracker.bus.jetstream.publish(
        f"dead.{durable}.{said.subject}.7",
        said.body() if body is None else body,
        stream="DEAD_LETTERS",
        headers=headers,
    )
    return ack.seq


async def _left(tracker: RunningTracker) -> int:
    return (await tracker.bus.jetstream.stream_info("DEAD_LETTERS")).state.messages


async def _act(
    tracker: RunningTracker, number: int, action: str, cookies: dict[str, str]
) -> httpx.Response:
    """Press the button, and go where it leads."""
    answer = await tracker.http.post(f"{_PATH}/{number}", data={"action": action}, headers=cookies)
    assert answer.status_code == 303
    return await tracker.http.get(answer.headers["location"], headers=cookies)


async def test_they_are_listed_oldest_first_and_shown_with_headers_and_body(
    tracker: RunningTracker,
) -> None:
    cookies = await _log_in(tracker)
    said = _reply()
    numbers = [await _bury(tracker, "tracker-history", said) for _ in range(2)]
    listed = (await tracker.http.get(_PATH, headers=cookies)).text
    places = [listed.index(f"{_PATH}/{number}") for number in numbers]
    assert places == sorted(places)
    assert NASTY not in listed
    assert "ValueError: &lt;script&gt;" in listed
    shown = (await tracker.http.get(f"{_PATH}/{numbers[0]}", headers=cookies)).text
    assert said.id in shown
    assert "Yes &lt;script&gt;" in shown
    assert NASTY not in shown


async def test_its_service_tries_it_again_under_its_old_id_and_it_is_gone(
    tracker: RunningTracker,
) -> None:
    cookies = await _log_in(tracker)
    said = _reply()
    number = await _bury(tracker, "tracker-history", said)
    page = await _act(tracker, number, "replay", cookies)
    assert f"Dead letter {number} was used by its consumer." in page.text
    assert await _left(tracker) == 0
    assert isinstance(said.event, ReplyDetected)
    timeline = await tracker.get(f"leads/{said.event.recipient}/timeline")
    assert [one["id"] for one in timeline["items"]] == [said.id]
    events = (await tracker.bus.jetstream.stream_info("EVENTS")).state
    assert events.messages == 0, "no other consumer hears it again"


async def test_one_that_fails_again_stays_and_says_why(tracker: RunningTracker) -> None:
    cookies = await _log_in(tracker)
    number = await _bury(tracker, "tracker-history", _reply(), b'{"recipient": 7}')
    page = await _act(tracker, number, "replay", cookies)
    assert f"Dead letter {number} stays: " in page.text
    assert "reply.detected: " in page.text
    assert await _left(tracker) == 1


async def test_one_of_a_service_that_is_away_stays(tracker: RunningTracker) -> None:
    cookies = await _log_in(tracker)
    number = await _bury(tracker, "inbox-watcher-feed", _reply())
    page = await _act(tracker, number, "replay", cookies)
    assert "inbox-watcher does not answer" in page.text
    assert await _left(tracker) == 1


async def test_a_dropped_one_is_gone_and_dropping_it_twice_is_harmless(
    tracker: RunningTracker,
) -> None:
    cookies = await _log_in(tracker)
    number = await _bury(tracker, "tracker-history", _reply())
    kept = await _bury(tracker, "tracker-events", _reply())
    for _ in range(2):
        page = await _act(tracker, number, "drop", cookies)
        assert f"Dead letter {number} is dropped." in page.text
    assert await _left(tracker) == 1
    assert f"{_PATH}/{kept}" in page.text


async def test_a_key_that_may_only_read_looks_and_changes_nothing(tracker: RunningTracker) -> None:
    cookies = await _log_in(tracker, READ_KEY)
    number = await _bury(tracker, "tracker-history", _reply())
    for action in ("replay", "drop"):
        page = await _act(tracker, number, action, cookies)
        assert "This needs a key with the scope admin." in page.text
    assert await _left(tracker) == 1
