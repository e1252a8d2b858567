"""Every page of the dashboard by the rules of WCAG 2.2 AA that a program can check, in both schemes,
at desk and phone width; and what no program can: by keyboard alone, and heard by a screen reader."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from postfleet.events.inbox import ReplyDetected
from tests.support.browser import MISSING, logged_in
from tests.support.dashboard_fleet import answer_as_fleet
from tests.support.mailpeers import PLACE
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import RunningTracker, created, new_id, running_tracker, sent
from tests.support.webserver import Asked, Reply, web_server

_AXE = PLACE / "node" / "node_modules" / "axe-core" / "axe.min.js"
_NO_AXE = "axe-core is not there: run `.ci/mail-peers .venv/mail-peers` as root"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_PHONE, _DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
_PAGES = (
    "",
    *(f"dashboard/{name}" for name in (
        "campaigns", "campaigns/spring", "campaigns/spring/mail", "campaigns/new",
        "campaigns/spring/lead?lead=bob%40x.test", "senders", "senders/s00001", "deliveries",
        "deliveries?recipient=p77%40x77.test", f"deliveries?delivery={'0' * 32}", "replies",
        "bounces", "domains", "domains/one.test", "pauses", "suppressions", "dead-letters", "events",
    )),
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=str(MISSING)),
    pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or ""),
]


async def _fleet(asked: Asked) -> Reply:
    return answer_as_fleet(asked)


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with (
        web_server(_fleet, None) as gateway,
        running_tracker(mongo_server.url, tmp_path, gateway_url=gateway.url) as running,
    ):
        yield running


@pytest.fixture
async def page(tracker: RunningTracker) -> AsyncIterator[Page]:
    async with logged_in(tracker.url, viewport=_DESK) as opened:
        yield opened


async def _tell_a_story(tracker: RunningTracker) -> None:
    mail = sent(new_id(), occurred_at=datetime.now(UTC))
    facts: dict[str, Any] = mail.model_dump(include=set(ReplyDetected.model_fields))
    await tracker.say(created("spring"), mail, ReplyDetected(**facts, text="Yes"))
    await tracker.counted(sent=1, replied=1)


@pytest.mark.timeout(600)  # three dozen pages, each looked at as a whole
@pytest.mark.skipif(not _AXE.exists(), reason=_NO_AXE)
async def test_no_page_breaks_a_rule_of_axe_in_light_or_dark_at_desk_or_on_a_phone(
    tracker: RunningTracker, page: Page, tmp_path: Path
) -> None:
    await _tell_a_story(tracker)
    source, broken = _AXE.read_text(), []
    leaving = tracker.unsubscribe(new_id()).removeprefix("/")
    for address in (*_PAGES, "login", leaving):
        for scheme, size in (("light", _DESK), ("dark", _PHONE)):
            await page.set_viewport_size(size)
            await page.emulate_media(color_scheme=scheme)
            await page.goto(f"{tracker.url}/{address}")
            await page.evaluate(source)
            options = {"runOnly": _TAGS, "iframes": False}
            found = await page.evaluate("options => axe.run(document, options)", options)
            for rule in found["violations"]:
                where = [node["html"][:120] for node in rule["nodes"][:2]]
                broken.append((address, scheme, rule["id"], where))
            name = "".join(c if c.isalnum() else "-" for c in address) or "overview"
            await page.screenshot(path=tmp_path / f"{name}-{scheme}.png")
    assert broken == [], broken


async def test_no_page_is_wider_than_a_phone(tracker: RunningTracker, page: Page) -> None:
    await _tell_a_story(tracker)
    await page.set_viewport_size(_PHONE)
    wide = {}
    for address in _PAGES:
        await page.goto(f"{tracker.url}/{address}")
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > _PHONE["width"]:
            wide[address] = width
    assert wide == {}


async def test_what_an_empty_page_says_can_be_read_on_a_phone(
    tracker: RunningTracker, page: Page
) -> None:
    await page.set_viewport_size(_PHONE)
    for address in ("", *(f"dashboard/{name}" for name in ("replies", "bounces", "dead-letters"))):
        await page.goto(f"{tracker.url}/{address}")
        box = await page.locator(".none span").first.bounding_box()
        assert box is not None, address
        assert 0 < box["x"] < box["x"] + box["width"] <= _PHONE["width"], address


async def test_a_draft_is_started_by_keyboard_and_focus_goes_in_the_order_of_reading(
    tracker: RunningTracker, page: Page
) -> None:
    await page.goto(f"{tracker.url}/dashboard/pauses")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # the skip link
    await page.wait_for_function("document.activeElement.id === 'main'")
    heard = []
    for _ in range(4):
        await page.keyboard.press("Tab")
        heard.append(await page.evaluate("document.activeElement.textContent.trim()"))
    assert heard[0] == "CSV"
    assert heard[2] == "Resume…"
    assert await page.get_by_role("button", name="Yes, resume").count() == 0
    await page.get_by_role("region", name="Pauses").locator("summary").first.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    told = await page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert told == "Yes, resume: domain fleet0.test"


async def test_each_button_says_what_it_is_about(tracker: RunningTracker, page: Page) -> None:
    await page.goto(f"{tracker.url}/dashboard/campaigns")
    names = await page.get_by_role("button").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label')).filter(Boolean)"
    )
    assert "Pause: Campaign 0" in names
    assert len(names) == len(set(names))
