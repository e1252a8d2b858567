"""The double opt-in as people meet it: the link in the mail, opened in a real browser."""

import quopri
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.browser import MISSING, chromium
from tests.support.dispatcher import Dispatcher, DispatcherWorld, dispatcher_world
from tests.support.mongo import MongoServer

WHO = "accept+1@people.test"
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "")
BUTTONS = {"de-CH": "Ja, ich möchte diese Mails erhalten", "ja": "はい、配信を希望します"}


@pytest.fixture
async def world(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[DispatcherWorld]:
    async with dispatcher_world(mongo_server, tmp_path) as world:
        yield world


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


async def asked(world: DispatcherWorld, one: Dispatcher) -> tuple[str, str]:
    """A lead that was asked to confirm: its path in the API, and the link in its mail."""
    body = {"name": "C", "senders": ["s1"], "steps": [{"subject": "Hi", "body_text": "Hi"}]}
    body |= {"postal_address": "1 Main St", "require_opt_in": True}
    campaign = f"/campaigns/{(await one.api('POST', '/campaigns', json=body))['id']}"
    await one.api("POST", f"{campaign}/leads", json=[{"email": WHO, "consent": "given"}])
    ask = {"from": "s1", "subject": "Please confirm", "text": "Here: {{ confirm_url }}\n"}
    await one.api("POST", f"{campaign}/opt-in", json=ask)

    async def arrived() -> bool:
        return world.accepted()[WHO] == 1

    await world.until(arrived, "the question arrives", one.tail)
    (mail,) = world.box.records("accepted")
    content = quopri.decodestring(world.box.mail(mail)).decode()
    (path,) = re.findall(r"/confirm/[\w-]+", content)
    return f"{campaign}/leads/{WHO}", f"http://127.0.0.1:{one.port}{path}"


@pytest.mark.seed("S302")
async def test_a_person_confirms_by_the_button_in_their_language_without_javascript(
    world: DispatcherWorld, browser: Browser, tmp_path: Path
) -> None:
    one = world.dispatcher()
    await one.start()
    await world.until(world._sender_known, "the sender is known")
    lead, link = await asked(world, one)
    problems: list[str] = []
    for language, button in BUTTONS.items():
        context = await browser.new_context(
            locale=language, viewport={"width": 390, "height": 700}, java_script_enabled=False
        )
        page = await context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        await page.goto(link)
        await page.get_by_role("button", name=button).wait_for()
        assert await page.locator("html").get_attribute("lang") == language[:2]
        assert await page.locator("main").evaluate("e => e.scrollWidth <= innerWidth")
        await page.screenshot(path=tmp_path / f"confirm-{language}.png")
    assert (await one.api("GET", lead))["state"] == "unconfirmed"  # to look at it changes nothing

    page = await (await browser.new_context(java_script_enabled=False)).new_page()
    await page.goto(link)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Thank you").wait_for()
    assert "confirmed" in await page.get_by_role("status").inner_text()
    assert (await one.api("GET", lead))["state"] == "active"
    assert problems == []

    await page.goto(f"{link}x")
    await page.get_by_role("heading", name="This link is not valid").wait_for()
