"""From the request for a pixel, a link or an unsubscribe address to the event and the figures."""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postfleet.tokens import Purpose
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import API_KEY, RunningTracker, compiled, new_id, running_tracker, sent
from tracker.domain.verdicts import RULES_VERSION

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

LINK = "00112233445566aa"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


async def _said(tracker: RunningTracker, subject: str) -> list[dict[str, object]]:
    return [json.loads(body) for name, _, body in await tracker.events() if name == subject]


@pytest.mark.seed("S163", "S165", "S166", "S173")
async def test_a_loaded_pixel_is_an_open_of_its_step(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery, step=2))
    answer = await tracker.http.get(tracker.pixel(delivery))
    assert answer.status_code == 200
    assert len(answer.content) == 43
    assert answer.headers["content-type"] == "image/gif"
    assert "no-store" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers
    await tracker.counted(sent=1, opened=1)
    (opened,) = await _said(tracker, "email.opened")
    assert (opened["verdict"], opened["first"], opened["step"]) == ("human", True, 2)
    (_, headers, _) = next(e for e in await tracker.events() if e[0] == "email.opened")
    assert headers["ce-source"] == "/tracker"
    assert headers["ce-id"] == headers["Nats-Msg-Id"]


@pytest.mark.seed("S175", "S176", "S180")
async def test_a_click_redirects_to_the_compiled_destination(tracker: RunningTracker) -> None:
    delivery, url = new_id(), "https://example.com/a?b=c&d=%C3%A9#e"
    await tracker.say(compiled({LINK: url}), sent(delivery))
    await tracker.counted(sent=1)
    answer = await tracker.http.get(tracker.link(delivery, LINK), follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"] == url
    assert answer.headers["referrer-policy"] == "no-referrer"
    await tracker.counted(clicked=1)
    (clicked,) = await _said(tracker, "email.clicked")
    assert (clicked["url"], clicked["verdict"]) == (url, "human")


async def test_opening_often_counts_once_and_marks_one_first(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    for _ in range(20):
        await tracker.http.get(tracker.pixel(delivery))
    await tracker.until(lambda: _has(tracker, "email.opened", 20))
    opened = await _said(tracker, "email.opened")
    assert sum(bool(event.get("first")) for event in opened) == 1
    assert (await tracker.counted(opened=1))["open_rate"] == 1.0


async def _has(tracker: RunningTracker, subject: str, count: int) -> bool:
    return len(await _said(tracker, subject)) == count


@pytest.mark.seed("S172", "S179", "C27")
async def test_machines_are_told_but_not_counted(tracker: RunningTracker) -> None:
    delivery, fresh = new_id(), new_id()
    now = datetime.now(UTC)
    await tracker.say(
        compiled({LINK: "https://example.com/"}),
        sent(delivery),
        sent(fresh, occurred_at=now + timedelta(seconds=10)),
    )
    await tracker.counted(sent=2)
    await tracker.http.get(tracker.pixel(delivery), headers={"User-Agent": "Barracuda Sentinel"})
    await tracker.http.head(tracker.link(delivery, LINK))
    await tracker.http.get(tracker.pixel(fresh))
    await tracker.until(lambda: _has(tracker, "email.opened", 2))
    await tracker.until(lambda: _has(tracker, "email.clicked", 1))
    told = await _said(tracker, "email.opened") + await _said(tracker, "email.clicked")
    assert {event["verdict"] for event in told} == {"bot"}
    assert {event["reason"] for event in told} == {
        "Barracuda",
        "HEAD request",
        "less than 2 s after delivery",
    }
    overview = await tracker.counted(sent=2)
    assert (overview["opened"], overview["clicked"]) == (0, 0)


@pytest.mark.seed("S178", "S179")
async def test_who_follows_the_hidden_link_is_a_machine_in_all_that_it_did(
    tracker: RunningTracker,
) -> None:
    delivery, hidden = new_id(), "00112233445566cc"
    await tracker.say(
        compiled({LINK: "https://shop.example.com/offer?a=1"}, hidden), sent(delivery)
    )
    await tracker.counted(sent=1)
    await tracker.http.get(tracker.pixel(delivery))
    await tracker.http.get(tracker.link(delivery, LINK))
    await tracker.counted(opened=1, clicked=1)

    answer = await tracker.http.get(tracker.link(delivery, hidden), follow_redirects=False)
    assert answer.status_code == 302  # it looks like any other link
    assert answer.headers["location"] == "https://shop.example.com/"
    overview = await tracker.counted(opened=0, clicked=0, sent=1)
    assert overview["open_rate"] == 0.0
    changed = await _said(tracker, "verdict.changed")
    assert {(c["hit_kind"], c["old_verdict"], c["verdict"]) for c in changed} == {
        ("opened", "human", "bot"),
        ("clicked", "human", "bot"),
    }
    hits = [hit async for hit in tracker.app_database().hits.find({}).limit(10)]
    assert {(hit["verdict"], hit["rules"]) for hit in hits} == {("bot", RULES_VERSION)}

    timeline = (await tracker.get("leads/ann@example.org/timeline"))["items"]
    assert [entry["event"] for entry in timeline].count("verdict.changed") == 2


async def test_rescoring_is_ordered_over_http_and_tells_how_far_it_is(
    tracker: RunningTracker,
) -> None:
    key, path = {"X-API-Key": API_KEY}, "/api/public/v1/rescores"
    delivery = new_id()
    await tracker.say(sent(delivery))
    await tracker.http.get(tracker.pixel(delivery))
    await tracker.counted(opened=1)
    hits = tracker.app_database().hits  # as an older version judged it
    await hits.update_one({}, {"$set": {"user_agent": "Barracuda Sentinel", "rules": 1}})
    assert (await tracker.http.post(path, json={})).status_code == 401
    wrong = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    refused = await tracker.http.post(path, json=wrong, headers=key)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "until")
    refused = await tracker.http.post(path, json={"sinse": "x"}, headers=key)
    assert refused.status_code == 422

    for dry_run, opened in ((True, 1), (False, 0)):
        answer = await tracker.http.post(path, json={"dry_run": dry_run}, headers=key)
        assert answer.status_code == 202, answer.text
        place = f"{path}/{answer.json()['id']}"

        async def done(place: str = place) -> bool:
            return (await tracker.http.get(place, headers=key)).json()["state"] == "done"

        await tracker.until(done)
        told = (await tracker.http.get(place, headers=key)).json()
        assert told["verdicts"] == {"human -> bot": 1}
        assert (told["hits"], told["changed"], told["opened"]) == (1, 1, -1)
        await tracker.counted(opened=opened)
    assert len(await _said(tracker, "verdict.changed")) == 1
    assert (await tracker.http.get(f"{path}/none", headers=key)).status_code == 404


async def test_a_hit_that_comes_before_its_delivery_waits_for_it(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.http.get(tracker.pixel(delivery))
    await asyncio.sleep(0.3)
    await tracker.say(sent(delivery))
    assert (await tracker.counted(opened=1))["sent"] == 1


@pytest.mark.seed("S198", "S199", "C24")
@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
async def test_one_click_unsubscribes_without_redirect_cookie_or_origin_check(
    tracker: RunningTracker, encoding: str
) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    body = (
        {"data": ONE_CLICK}
        if encoding == "urlencoded"
        else {"files": {"List-Unsubscribe": (None, "One-Click")}}
    )
    answer = await tracker.http.post(
        tracker.unsubscribe(delivery),
        headers={"Origin": "https://mail.example.com", "User-Agent": ""},
        **body,
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    await tracker.counted(unsubscribed=1)
    (event,) = await _said(tracker, "recipient.unsubscribed")
    assert event["method"] == "one-click"
    assert event["recipient"] == "ann@example.org"


@pytest.mark.seed("S197", "S304", "C24")
async def test_the_page_changes_nothing_until_its_button_is_pressed(
    tracker: RunningTracker,
) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    address = tracker.unsubscribe(delivery)
    for _ in range(200):
        assert (await tracker.http.get(address)).status_code == 200
        assert (await tracker.http.head(address)).status_code == 200
    assert (await tracker.http.post(address)).status_code == 400
    assert (await tracker.counted(sent=1))["unsubscribed"] == 0
    assert await _said(tracker, "recipient.unsubscribed") == []

    page = (await tracker.http.get(address)).text
    assert 'name="confirm" value="unsubscribe"' in page
    answer = await tracker.http.post(address, data={"confirm": "unsubscribe"})
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
    await tracker.counted(unsubscribed=1)
    (event,) = await _said(tracker, "recipient.unsubscribed")
    assert event["method"] == "page"


async def test_who_left_comes_back_by_a_post_and_by_nothing_else(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    address = tracker.unsubscribe(delivery)
    left = await tracker.http.post(address, data={"confirm": "unsubscribe"})
    assert 'value="resubscribe"' in left.text
    for _ in range(5):
        await tracker.http.get(f"{address}?confirm=resubscribe")
        await tracker.http.head(address)
    assert (await tracker.http.post(address, data={"confirm": "nonsense"})).status_code == 400
    await tracker.counted(unsubscribed=1)
    assert await _said(tracker, "recipient.resubscribed") == []
    answer = await tracker.http.post(address, data={"confirm": "resubscribe"})
    assert answer.status_code == 200
    assert "You are subscribed again" in answer.text
    await tracker.until(lambda: _has(tracker, "recipient.resubscribed", 1))
    (event,) = await _said(tracker, "recipient.resubscribed")
    assert (event["recipient"], event["method"]) == ("ann@example.org", "page")
    assert "set-cookie" not in answer.headers


async def test_a_person_may_leave_one_series_only(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    answer = await tracker.http.post(tracker.unsubscribe(delivery), data={"confirm": "series"})
    assert "This series has ended for you" in answer.text
    await tracker.counted(unsubscribed=1)
    (event,) = await _said(tracker, "recipient.unsubscribed")
    assert (event["scope"], event["campaign_id"], event["method"]) == ("campaign", "spring", "page")


async def test_the_same_person_unsubscribing_twice_counts_once(tracker: RunningTracker) -> None:
    first, second = new_id(), new_id()
    await tracker.say(sent(first), sent(second, campaign_id="autumn"))
    for delivery in (first, second, first):
        await tracker.http.post(tracker.unsubscribe(delivery), data=ONE_CLICK)
    await tracker.until(lambda: _has(tracker, "recipient.unsubscribed", 3))
    assert (await tracker.counted(sent=2, unsubscribed=1))["unsubscribe_rate"] == 0.5


@pytest.mark.seed("S177", "C26")
async def test_what_is_not_a_valid_token_gets_one_and_the_same_answer(
    tracker: RunningTracker,
) -> None:
    delivery = new_id()
    await tracker.say(compiled({LINK: "https://example.com/"}), sent(delivery))
    await tracker.counted(sent=1)
    click = tracker.keys.make(Purpose.CLICK, delivery, LINK)
    opening = tracker.keys.make(Purpose.OPEN, delivery)
    leaving = tracker.keys.make(Purpose.UNSUBSCRIBE, delivery)
    unknown_link = tracker.keys.make(Purpose.CLICK, delivery, "ffffffffffffffff")
    bad = [
        "/c/", "/c/x", "/c/https://evil.example/", f"/c/{click[:-1]}",
        f"/c/{click}A", f"/c/{unknown_link}", f"/c/{opening}", f"/c/{leaving}",
        f"/c/{urllib.parse.quote('é')}", f"/o/{click}.gif", f"/o/{leaving}.gif", f"/o/{opening}",
        f"/u/{opening}", f"/u/{click}", "/u/x", *_flipped("/c/", click), *_flipped("/u/", leaving),
    ]  # fmt: skip
    answers = [await tracker.http.get(path) for path in bad]
    posted = await tracker.http.post(f"/u/{opening}", data=ONE_CLICK)
    assert {(a.status_code, a.content) for a in [*answers, posted]} == {
        (404, b"There is nothing at this address.\n")
    }
    overview = await tracker.get("overview")
    assert (overview["clicked"], overview["opened"], overview["unsubscribed"]) == (0, 0, 0)


def _flipped(prefix: str, token: str) -> list[str]:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return [
        f"{prefix}{token[:i]}{alphabet[alphabet.index(c) ^ (1 << bit)]}{token[i + 1 :]}"
        for i, c in enumerate(token)
        for bit in (0, 3, 5)
    ]


async def test_a_hit_that_is_nonsense_is_a_dead_letter(tracker: RunningTracker) -> None:
    await tracker.bus.jetstream.publish("hit.opened", b'{"kind": "opened"}')

    async def buried() -> bool:
        return (await tracker.bus.jetstream.stream_info("DEAD_LETTERS")).state.messages == 1

    await tracker.until(buried)
    message = await tracker.bus.jetstream.get_msg("DEAD_LETTERS", 1)
    assert "delivery_id" in (message.headers or {})["x-dead-reason"]


async def test_a_redelivered_hit_says_nothing_twice(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    await tracker.http.get(tracker.pixel(delivery))
    await tracker.counted(opened=1)
    database = tracker.app_database()
    hit = await database.hits.find_one({"delivery_id": delivery})
    assert hit["network"] == "127.0.0.0/24"
    body = {"id": hit["_id"], "kind": "opened", "delivery_id": delivery, "at_ms": hit["at_ms"],
            "user_agent": hit["user_agent"]}  # fmt: skip
    await tracker.bus.jetstream.publish("hit.opened", json.dumps(body).encode())
    await tracker.http.get(tracker.pixel(delivery))
    await tracker.until(lambda: _has(tracker, "email.opened", 2))
    await asyncio.sleep(0.5)
    assert await _has(tracker, "email.opened", 2)
    assert await database.hits.count_documents({}) == 2
