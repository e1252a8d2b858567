"""Debian's Chromium under Playwright; also logged in to a tracker's dashboard."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.support.tracker import API_KEY

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
MISSING = None if CHROMIUM else "chromium not found: install it, or set CHROMIUM"


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def logged_in(url: str, **options: Any) -> AsyncIterator[Page]:
    """A page on the overview."""
    async with chromium() as browser:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        page = await (await browser.new_context(**options)).new_page()
        await page.goto(url)
        await page.get_by_label("API key").fill(API_KEY)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("heading", name="Overview").wait_for()
        yield page


def complaints(page: Page) -> list[str]:
    """What the browser has to say from now on: errors of scripts, refused content, dialogs."""
    found: list[str] = []
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    return found
