"""The pages beside the overview, in a real browser, on a fleet whose services answer as ours do."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from postfleet.events.campaigns import CampaignStarted
from postfleet.events.deliveries import BounceHard
from postfleet.events.inbox import ReplyDetected
from tests.support.browser import MISSING, complaints, logged_in
from tests.support.dashboard_fleet import NASTY, answer_as_fleet, campaign
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import API_KEY, RunningTracker, created, new_id, running_tracker, sent
from tests.support.webserver import Asked, Reply, WebServer, web_server

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=str(MISSING)),
    pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or ""),
]
_API = "/api/public/v1"


class Fleet:
    """The other services, with a few rows each; the first request to change something is refused."""

    def __init__(self) -> None:
        self.refuses = True
        self.keys: set[str] = set()
        self.acted: list[tuple[str, bytes]] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.keys.add(asked.headers.get("x-api-key", ""))
        path = asked.target.removeprefix(_API).partition("?")[0]
        if asked.method == "POST":
            self.acted.append((path, asked.body))
            if self.refuses:
                errors = [{"field": "steps.0.subject", "code": "x", "message": f"bad {NASTY}"}]
                refusal = {"detail": f"not now: {NASTY}", "errors": errors}
                return 409, json.dumps(refusal).encode()
            done = {"id": "spring", "kind": "domain", "value": "one.test", "recipient": "me@x.test"}
            done |= {"subject": NASTY, "imported": 2, "duplicates": 0, "invalid": 1}
            return 200, json.dumps(done).encode()
        if path == "/campaigns":
            items = [campaign("spring", NASTY), campaign("summer", "Summer", "draft")]
            return 200, json.dumps({"items": items, "next_cursor": None}).encode()
        if path == "/campaigns/spring":
            return 200, json.dumps(campaign("spring", NASTY)).encode()
        return answer_as_fleet(asked)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.acted]


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
    async with logged_in(tracker.url) as opened:
        yield opened


async def _tell_a_story(tracker: RunningTracker) -> str:
    mail = sent(new_id(), occurred_at=datetime.now(UTC), reply_text="2.0.0 Ok: queued",
                author="kim@one.test")  # fmt: skip
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


_SHOWN = {
    "Campaigns": [NASTY, "running", "100.0%", "Pause", "Start", "New campaign"],
    "Senders": ["ann1@fleet0.test", "day 3 of 30", "99", "7 of 12", "age ramp", "day 3, 6 mails"],
    "Deliveries": ["ann@example.org", "kim@one.test", "queued", "Why", "Find a person's mails"],
    "Replies": [f"Yes, {NASTY}", "ann@example.org"],
    "Bounces": ["user_unknown", "1", "0", "ann@example.org"],
    "Domains": ["fleet3.test", "verified", "Checks"],
    "Pauses": ["domain fleet0.test", "3 of 4 senders", "Resume"],
    "Suppressions": ["p1@x.test", "unsubscribed", "one click"],
    "Dead letters": ["None: every event was used"],
    "Live events": ["email.sent", "reply.detected", "bounce.hard", "user_unknown"],
}


async def test_every_page_shows_its_rows_and_escapes_what_others_wrote(
    tracker: RunningTracker, fleet: Fleet, page: Page, tmp_path: Path
) -> None:
    await _tell_a_story(tracker)
    problems = complaints(page)
    for name, texts in _SHOWN.items():
        await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        await page.locator("a[aria-current=page]", has_text=name).wait_for()
        shown = await page.locator("main").inner_text()
        assert [text for text in texts if text not in shown] == [], name
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            file = tmp_path / f"{name.lower()}-{scheme}.png"
            assert len(await page.screenshot(path=file, full_page=True)) > 10_000
    assert fleet.keys == {API_KEY}
    assert problems == []


_DEEPER = {
    "campaigns/spring": [NASTY, "Step 1, B", "Winner", "2026-12-04 15:20", "ann9@fleet0.test",
                         "800", "1,000 of 1,000", "after 3 days"],
    "campaigns/spring/mail": [f"Hello Bob, {NASTY}", "Header fields", "Send a test"],
    "campaigns/spring/lead?lead=bob%40x.test": ["opens on Monday", "2026-11-23 09:00",
                                                "ann1@fleet0.test", "ann2@fleet0.test", "25.0%",
                                                f"over limit {NASTY}"],
    "campaigns/new": ["Create the draft", "Leads as CSV", "Postal address"],
    "senders/s00001": ["ann1@fleet0.test", "age ramp", "day 3, 6 mails", "12", "emea"],
    "domains/one.test": ["Domain one.test", "no policy", f"{NASTY}\nask us"],
    "deliveries?recipient=p77%40x77.test": ["p77@x77.test", "accepted", "A question", "Next page"],
}  # fmt: skip


@pytest.mark.seed("S202")
async def test_pages_go_into_depth(tracker: RunningTracker, page: Page, tmp_path: Path) -> None:
    await _tell_a_story(tracker)
    problems = complaints(page)
    for address, texts in _DEEPER.items():
        await page.goto(f"{tracker.url}/dashboard/{address}")
        shown = await page.locator("main").inner_text()
        assert [text for text in texts if text not in shown] == [], address
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            name = "".join(c if c.isalnum() else "-" for c in address)
            await page.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)
    # The frame of a mail says by itself that it runs no script: that is what it is for.
    assert [text for text in problems if "sandboxed" not in text] == []


async def test_a_deliverys_decisions_are_a_click_away(tracker: RunningTracker, page: Page) -> None:
    delivery = await _tell_a_story(tracker)
    await page.goto(f"{tracker.url}/dashboard/deliveries")
    await page.get_by_role("link", name="Why").click()
    await page.get_by_role("heading", name=delivery).wait_for()
    shown = await page.locator("main").inner_text()
    for text in (
        "75.0%",
        "ann1@fleet0.test",
        f"over limit {NASTY}",
        "daily limit",
        "Greylisted",
        "451",
        "08:05",
    ):
        assert text in shown, text


async def test_the_html_of_a_mail_runs_nothing_and_loads_nothing(
    tracker: RunningTracker, page: Page
) -> None:
    problems = complaints(page)
    await page.goto(f"{tracker.url}/dashboard/campaigns/spring/mail")
    frame = page.frame_locator("iframe")
    assert await frame.locator("b").inner_text() == "Bob"
    assert await page.locator("iframe").get_attribute("sandbox") == ""
    assert [text for text in problems if "sandboxed" not in text and "Security" not in text] == []


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
    await page.get_by_text("The campaign is paused.").wait_for()
    assert fleet.paths == ["/campaigns/spring/pause"] * 2
    assert fleet.keys == {API_KEY}


async def test_a_draft_is_started_only_when_asked_twice(
    tracker: RunningTracker, fleet: Fleet, page: Page
) -> None:
    fleet.refuses = False
    await page.goto(f"{tracker.url}/dashboard/campaigns")
    await page.locator("summary", has_text="Start").click()
    assert fleet.paths == []
    await page.get_by_role("button", name="Yes, start").click()
    await page.get_by_text("The campaign runs.").wait_for()
    assert fleet.paths == ["/campaigns/summer/start"]


async def test_a_pause_is_lifted_and_a_test_mail_is_sent(
    tracker: RunningTracker, fleet: Fleet, page: Page
) -> None:
    fleet.refuses = False
    await page.goto(f"{tracker.url}/dashboard/pauses")
    await page.locator("summary", has_text="Resume").first.click()
    await page.get_by_role("button", name="Yes, resume").first.click()
    await page.get_by_text("Mail by domain one.test goes on.").wait_for()
    await page.goto(f"{tracker.url}/dashboard/campaigns/spring/mail")
    await page.get_by_label("Send it to").fill("me@x.test")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("is on its way to me@x.test").wait_for()
    assert fleet.paths == ["/pauses/p0/resume", "/campaigns/spring/test-send"]
    assert json.loads(fleet.acted[1][1]) == {"to": "me@x.test", "step": 0}
    await page.get_by_label("Mail").last.select_option("Step 2, A")
    await page.get_by_label("Send it to").fill("me@x.test")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("is on its way to me@x.test").wait_for()
    assert json.loads(fleet.acted[2][1]) == {"to": "me@x.test", "step": 1, "variant": "A"}


async def test_a_campaign_is_made_from_a_form_and_keeps_what_was_written_when_it_is_refused(
    tracker: RunningTracker, fleet: Fleet, page: Page, tmp_path: Path
) -> None:
    await page.goto(f"{tracker.url}/dashboard/campaigns/new")
    for label, text in {
        "Name": "Autumn",
        "Subject": NASTY,
        "Text": "Hello",
        "Text of the follow-up": "Still there?",
        "Postal address of the sending company": "1 Road, Town",
    }.items():
        await (
            page.get_by_label(label, exact=True)
            .or_(page.get_by_label(f"{label} optional", exact=True))
            .fill(text)
        )
    await page.get_by_role("button", name="Create the draft").click()
    assert f"not now: {NASTY}" == await page.get_by_role("alert").inner_text()
    subject = page.get_by_label("Subject", exact=True)
    assert await subject.input_value() == NASTY
    assert await subject.get_attribute("aria-invalid") == "true"
    assert f"bad {NASTY}" in await page.locator("main").inner_text()
    fleet.refuses = False
    leads = b"email,first_name\nbob@x.test,Bob\n"
    file = {"name": "leads.csv", "mimeType": "text/csv", "buffer": leads}
    await page.locator("input[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Create the draft").click()
    await page.get_by_text("The draft is made: 2 leads").wait_for()
    assert page.url.partition("?")[0] == f"{tracker.url}/dashboard/campaigns/spring"
    (_, _), (made, body), (added, csv) = fleet.acted
    assert (made, added, csv) == ("/campaigns", "/campaigns/spring/leads", leads)
    wanted = json.loads(body)
    assert wanted["steps"][1] == {"delay": "P3D", "body_text": "Still there?"}
    assert (wanted["senders"], wanted["schedule"]) == (["all"], {"timezone": "UTC"})


async def test_a_page_is_downloaded_as_csv_and_no_cell_of_it_is_a_formula(
    tracker: RunningTracker, page: Page
) -> None:
    mail = sent(new_id(), occurred_at=datetime.now(UTC))
    facts: dict[str, Any] = mail.model_dump(include=set(ReplyDetected.model_fields))
    await tracker.say(mail, ReplyDetected(**facts, text='=HYPERLINK("http://evil.test")'))
    await tracker.counted(sent=1, replied=1)
    answer = await page.request.get(f"{tracker.url}/dashboard/replies?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    heading, line = (await answer.text()).splitlines()
    assert heading == "Time,From,Text"
    assert '"\'=HYPERLINK(""http://evil.test"")"' in line


async def test_a_link_puts_no_words_on_a_page(tracker: RunningTracker, page: Page) -> None:
    for told in ("Your password is 1234", "eyJhIjoxfQ.aW8.MEUCIQ", "!", "x" * 2000):
        answer = await page.request.get(f"{tracker.url}/dashboard/replies", params={"told": told})
        assert answer.status == 200
        text = await answer.text()
        assert 'class="alert"' not in text, told
        assert 'class="done"' not in text, told


_FORMS = {
    "campaigns/spring": {"action": "pause"},
    "campaigns/spring/test-send": {"to": "me@x.test"},
    "campaigns/new": {"name": "x"},
    "pauses/p1": {},
    "dead-letters/1": {"action": "drop"},
}
_FROM = {
    "another site's form": ({"Origin": "https://evil.example"}, 403),
    "a cross-site request": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "a site beside ours": ({"Sec-Fetch-Site": "same-site"}, 403),
    "a page without an origin": ({"Origin": "null"}, 403),
    "nobody who is logged in": ({}, 303),
}


async def test_nobody_else_changes_anything(tracker: RunningTracker, fleet: Fleet) -> None:
    login = await tracker.http.post("/login", data={"key": API_KEY})
    session = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
    tracker.http.cookies.clear()
    for who, (headers, status) in _FROM.items():
        cookie = session if status == 403 else {}
        for path, form in _FORMS.items():
            answer = await tracker.http.post(
                f"/dashboard/{path}", data=form, headers={**headers, **cookie}
            )
            assert answer.status_code == status, (who, path)
    assert fleet.acted == []


async def test_no_page_is_shown_to_who_is_not_logged_in(tracker: RunningTracker) -> None:
    pages = [name.lower().replace(" ", "-") for name in _SHOWN if name != "Live events"]
    for name in [*pages, "events", *_DEEPER, "dead-letters/1"]:
        answer = await tracker.http.get(f"/dashboard/{name}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), name
    assert (await tracker.http.get("/dashboard/events.json")).status_code == 401
