"""The dashboard and the unsubscribe page in a real browser. Screenshots go to the test's tmp_path."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from postfleet.events.campaigns import CampaignStarted
from postfleet.events.deliveries import BounceHard
from postfleet.events.inbox import ReplyDetected
from postfleet.events.tracking import EmailOpened, RecipientUnsubscribed, Verdict
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import (
    API_KEY,
    RunningTracker,
    created,
    new_id,
    running_tracker,
    sent,
)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
NAME = "Spring <b onclick=alert(1)>& summer"

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium not found: install it, or set CHROMIUM"),
    pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or ""),
]


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        await launched.close()


def _story() -> list[Any]:
    """Three weeks of two campaigns: 1 open, 1 reply, 1 bounce, 1 leaving for some of the mails."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    told: list[Any] = [
        created("spring", NAME),
        created("autumn", "Autumn"),
        CampaignStarted(occurred_at=now, campaign_id="spring", name=NAME, leads=100),
    ]
    for number in range(100):
        day = now - timedelta(days=20 - number // 5)
        fields = {
            "campaign_id": "spring" if number % 3 else "autumn",
            "recipient": f"lead{number}@example.org",
            "occurred_at": day,
        }
        mail = sent(new_id(), **fields)
        told.append(mail)
        facts = mail.model_dump(include=set(RecipientUnsubscribed.model_fields))
        if number % 2 == 0:
            told.append(EmailOpened(**facts, verdict=Verdict.HUMAN, first=True))
        if number % 5 == 0:
            told.append(ReplyDetected(**facts))
        if number % 10 == 1:
            told.append(BounceHard(**facts, observed="dsn"))
        if number % 25 == 0:
            told.append(RecipientUnsubscribed(**facts))
    return told


async def _log_in(page: Page, tracker: RunningTracker, key: str = API_KEY) -> None:
    await page.goto(tracker.url)
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()


@pytest.mark.seed("S200", "S201", "S202")
async def test_the_dashboard_shows_the_figures_and_draws_the_chart(
    tracker: RunningTracker, browser: Browser, tmp_path: Path
) -> None:
    await tracker.say(*_story())
    await tracker.counted(sent=100, opened=50, replied=20, bounced_hard=10, unsubscribed=4)
    page = await browser.new_page(viewport={"width": 1280, "height": 1000})
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    await _log_in(page, tracker)
    await page.get_by_role("heading", name="Overview").wait_for()
    await page.wait_for_function("() => Chart.getChart('activity') !== undefined")

    figures = await page.locator("[data-figure]").all_inner_texts()
    assert figures == ["100", "50.0%", "0.0%", "20.0%", "10.0%", "4.0%"]
    assert await _painted(page) > 1000
    row = page.get_by_role("row").filter(has_text="Spring")
    assert (await row.get_by_role("rowheader").inner_text()) == NAME
    assert "running" in await row.inner_text()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await page.wait_for_timeout(200)
        shot = await page.screenshot(path=tmp_path / f"dashboard-{scheme}.png", full_page=True)
        assert len(shot) > 20_000
    assert problems == []


async def _painted(page: Page) -> int:
    """How many pixels of the chart are not transparent."""
    painted: int = await page.evaluate(
        """() => {
            const canvas = document.getElementById('activity');
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count++;
            return count;
        }"""
    )
    return painted


async def test_the_dashboard_refreshes_itself(tracker: RunningTracker, browser: Browser) -> None:
    page = await browser.new_page()
    await _log_in(page, tracker)
    await page.get_by_text("No campaign yet").wait_for()
    await tracker.say(created(), sent(new_id()))
    await page.get_by_role("rowheader", name="Spring").wait_for(timeout=15_000)
    assert await page.locator("[data-figure=sent]").inner_text() == "1"


async def test_a_wrong_key_is_refused_and_shows_nothing(
    tracker: RunningTracker, browser: Browser
) -> None:
    page = await browser.new_page()
    await _log_in(page, tracker, "wrong" * 6)
    assert "not known" in await page.get_by_role("alert").inner_text()
    answer = await page.request.get(f"{tracker.url}/dashboard/data.json")
    assert answer.status == 401
    assert await page.context.cookies() == []


async def test_logging_out_ends_the_session(tracker: RunningTracker, browser: Browser) -> None:
    page = await browser.new_page()
    await _log_in(page, tracker)
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert API_KEY not in cookie["value"]
    await page.get_by_role("button", name="Log out").click()
    await page.get_by_role("heading", name="Log in").wait_for()
    assert await page.context.cookies() == []


async def test_the_dashboard_is_reached_by_keyboard_alone(
    tracker: RunningTracker, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.goto(tracker.url)
    await page.wait_for_function("document.activeElement.id === 'key'")
    await page.keyboard.type(API_KEY)
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Overview").wait_for()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the figures"


@pytest.mark.seed("S197")
async def test_unsubscribing_works_without_javascript(
    tracker: RunningTracker, browser: Browser, tmp_path: Path
) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{tracker.url}{tracker.unsubscribe(delivery)}")
    await page.screenshot(path=tmp_path / "unsubscribe.png")
    await page.get_by_role("button", name="Unsubscribe me").click()
    await page.get_by_role("heading", name="You are unsubscribed").wait_for()
    overview = await tracker.counted(unsubscribed=1)
    assert overview["sent"] == 1


async def test_the_preferences_work_by_keyboard_and_without_javascript(
    tracker: RunningTracker, browser: Browser, tmp_path: Path
) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{tracker.url}{tracker.unsubscribe(delivery)}")
    only = page.get_by_role(
        "button", name="Only stop this series", description="no more mails of this series"
    )
    await only.wait_for()
    await page.screenshot(path=tmp_path / "preferences.png")
    for _ in range(3):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="You are subscribed again").wait_for()
    assert "at any time" in await page.get_by_role("status").inner_text()

    await page.goto(f"{tracker.url}{tracker.unsubscribe(delivery)}")
    await only.click()
    await page.get_by_role("heading", name="This series has ended for you").wait_for()
    await tracker.counted(unsubscribed=1)


@pytest.mark.parametrize(("language", "button"), [("de-CH", "Abmelden"), ("ja", "配信を停止する")])
async def test_the_unsubscribe_page_speaks_the_readers_language(
    tracker: RunningTracker, browser: Browser, tmp_path: Path, language: str, button: str
) -> None:
    context = await browser.new_context(locale=language, viewport={"width": 390, "height": 700})
    page = await context.new_page()
    await page.goto(f"{tracker.url}{tracker.unsubscribe(new_id())}")
    await page.get_by_role("button", name=button).wait_for()
    await page.screenshot(path=tmp_path / f"unsubscribe-{language}.png")
    assert await page.locator("html").get_attribute("lang") == language[:2]
