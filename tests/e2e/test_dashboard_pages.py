"""The pages beside the overview, in a real browser, on a fleet whose services answer as ours do."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from postfleet.events import BounceHard, CampaignStarted, ReplyDetected
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import API_KEY, RunningTracker, created, new_id, running_tracker, sent
from tests.support.webserver import Asked, Reply, WebServer, web_server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
NASTY = "<img src=x onerror=alert(1)> & Co"

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium not found: install it, or set CHROMIUM"),
    pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or ""),
]

SENDER = {
    "id": "s1",
    "email_address": "ann@one.test",
    "status": "warmup",
    "status_reason": "day 3 of 30",
    "health": 93,
    "sent_today": 1204,
    "effective_limit": 1500,
    "binding_limit": "age_ramp",
    "cooldown_until": "2026-11-21T18:00:00Z",
}
CHECKS = {
    "domain": "one.test",
    "state": "warn",
    "checks": [
        {"name": "spf", "state": "ok", "text": "one record", "hints": []},
        {"name": "dmarc", "state": "warn", "text": "no policy", "hints": [NASTY]},
    ],
}


class Fleet:
    """The other services: one campaign, one sender, one domain; pausing is refused the first time."""

    def __init__(self) -> None:
        self.refuses = True
        self.keys: set[str] = set()
        self.acted: list[str] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.keys.add(asked.headers.get("x-api-key", ""))
        path = asked.target.removeprefix("/api/public/v1").partition("?")[0]
        if asked.method == "POST":
            self.acted.append(path)
            if self.refuses:
                return 409, json.dumps({"detail": f"not now: {NASTY}"}).encode()
            return 200, b"{}"
        lists = {
            "/campaigns": {"id": "spring", "name": NASTY, "status": "running"},
            "/sender-accounts": SENDER,
            "/domains": {"id": "one.test", "name": "one.test", "state": "verified"},
        }
        if path in lists:
            return 200, json.dumps({"items": [lists[path]], "next_cursor": None}).encode()
        if path == "/domains/one.test/checks":
            return 200, json.dumps(CHECKS).encode()
        if path.endswith("/decisions"):
            decisions = {"status": "accepted", "decisions": [{"excluded": {"bob": "over limit"}}]}
            return 200, json.dumps(decisions).encode()
        return 404, b'{"detail": "there is no such thing"}'


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
async def gateway(fleet: Fleet) -> AsyncIterator[WebServer]:
    async with web_server(fleet, None) as server:
        yield server


@pytest.fixture
async def tracker(
    mongo_server: MongoServer, tmp_path: Path, gateway: WebServer
) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path, gateway_url=gateway.url) as running:
        yield running


@pytest.fixture
async def page(tracker: RunningTracker) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        opened = await browser.new_page(viewport={"width": 1280, "height": 800})
        await opened.goto(tracker.url)
        await opened.get_by_label("API key").fill(API_KEY)
        await opened.get_by_role("button", name="Log in").click()
        await opened.get_by_role("heading", name="Overview").wait_for()
        yield opened
        await browser.close()


async def _tell_a_story(tracker: RunningTracker) -> str:
    mail = sent(new_id(), occurred_at=datetime.now(UTC), reply_text="2.0.0 Ok: queued")
    facts: dict[str, Any] = mail.model_dump(include=set(ReplyDetected.model_fields))
    await tracker.say(
        created("spring", NASTY),
        CampaignStarted(occurred_at=datetime.now(UTC), campaign_id="spring", leads=2),
        mail,
        ReplyDetected(**facts, text=f"Yes, {NASTY}"),
        BounceHard(**facts, observed="dsn", category="user_unknown"),
    )
    await tracker.counted(sent=1, replied=1, bounced_hard=1)
    return mail.delivery_id


async def test_every_page_shows_its_rows_and_escapes_what_others_wrote(
    tracker: RunningTracker, fleet: Fleet, page: Page, tmp_path: Path
) -> None:
    await _tell_a_story(tracker)
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    expected = {
        "Campaigns": [NASTY, "running", "100.0%", "Pause"],
        "Senders": ["ann@one.test", "day 3 of 30", "93", "1,204", "1,500", "age_ramp", "18:00"],
        "Deliveries": ["ann@example.org", "queued", "Why"],
        "Replies": [f"Yes, {NASTY}", "ann@example.org"],
        "Bounces": ["user_unknown", "1", "0"],
        "Domains": ["one.test", "verified", "Checks"],
        "Live events": ["email.sent", "reply.detected", "bounce.hard", "user_unknown"],
    }
    for name, texts in expected.items():
        await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        await page.locator("a[aria-current=page]", has_text=name).wait_for()
        shown = await page.locator("main").inner_text()
        assert [text for text in texts if text not in shown] == [], name
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            shot = await page.screenshot(path=tmp_path / f"{name.lower()}-{scheme}.png")
            assert len(shot) > 10_000
    assert fleet.keys == {API_KEY}
    assert problems == []


async def test_domain_checks_and_decisions_are_a_click_away(
    tracker: RunningTracker, page: Page
) -> None:
    delivery = await _tell_a_story(tracker)
    await page.goto(f"{tracker.url}/dashboard/domains")
    await page.get_by_role("link", name="Checks").click()
    await page.get_by_role("heading", name="Domain one.test").wait_for()
    assert NASTY in await page.locator("main").inner_text()
    await page.goto(f"{tracker.url}/dashboard/deliveries")
    await page.get_by_role("link", name="Why").click()
    await page.get_by_role("heading", name=delivery).wait_for()
    assert "over limit" in await page.locator("main").inner_text()


async def test_a_campaign_is_paused_in_the_users_name_and_a_refusal_is_told(
    tracker: RunningTracker, fleet: Fleet, page: Page
) -> None:
    await _tell_a_story(tracker)
    await page.goto(f"{tracker.url}/dashboard/campaigns")
    await page.get_by_role("button", name="Pause").click()
    alert = await page.get_by_role("alert").inner_text()
    assert alert == f"not now: {NASTY}"
    fleet.refuses = False
    await page.get_by_role("button", name="Pause").click()
    await page.wait_for_url("**/dashboard/campaigns")
    assert fleet.acted == ["/campaigns/spring/pause"] * 2
    assert fleet.keys == {API_KEY}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Origin": "https://evil.example"}, 403, id="another site's form"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="a cross-site request"),
        pytest.param({}, 303, id="nobody who is logged in"),
    ],
)
async def test_nobody_else_pauses_a_campaign(
    tracker: RunningTracker, fleet: Fleet, headers: dict[str, str], status: int
) -> None:
    answer = await tracker.http.post(
        "/dashboard/campaigns/spring", data={"action": "pause"}, headers=headers
    )
    assert answer.status_code == status
    assert fleet.acted == []


async def test_no_page_is_shown_to_who_is_not_logged_in(tracker: RunningTracker) -> None:
    for name in ("campaigns", "senders", "deliveries", "replies", "bounces", "domains", "events"):
        answer = await tracker.http.get(f"/dashboard/{name}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await tracker.http.get("/dashboard/events.json")).status_code == 401
