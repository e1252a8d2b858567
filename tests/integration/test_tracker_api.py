"""The figures over HTTP, and the dashboard's door."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postfleet.events.deliveries import BounceHard
from postfleet.events.inbox import ReplyDetected
from postfleet.events.tracking import EmailOpened, Verdict
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

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


async def _tell_a_story(tracker: RunningTracker) -> None:
    """Four mails of a campaign, two variants; one bounced, one opened, one answered."""
    mails = [
        sent(new_id(), occurred_at=NOON + timedelta(hours=i), variant="ab"[i % 2],
             recipient=f"Lead{i}@Example.org", sender_id=f"sender-{i % 2}")
        for i in range(4)
    ]  # fmt: skip
    facts = [mail.model_dump(include=set(ReplyDetected.model_fields)) for mail in mails]
    await tracker.say(
        created(),
        *mails,
        EmailOpened(**facts[0], verdict=Verdict.HUMAN, first=True),
        EmailOpened(**facts[1], verdict=Verdict.BOT, reason="Barracuda"),
        ReplyDetected(**{**facts[0], "occurred_at": NOON + timedelta(hours=9)}, text="Yes"),
        BounceHard(**facts[3], observed="dsn", category="user_unknown"),
    )
    await tracker.counted(sent=4, opened=1, replied=1, bounced_hard=1)


@pytest.mark.seed("S200", "S202", "S203", "S204")
async def test_figures_per_campaign_day_variant_and_lead(tracker: RunningTracker) -> None:
    await _tell_a_story(tracker)
    overview = await tracker.get("overview")
    assert overview["open_rate"] == overview["reply_rate"] == overview["bounce_rate"] == 0.25

    day = NOON.strftime("%Y-%m-%d")
    activity = await tracker.get(f"activity?from={day}&to={day}")
    assert [(row["bucket"], row["sent"], row["replied"]) for row in activity["items"]] == [
        (day, 4, 1)
    ]
    hours = await tracker.get(f"activity?from={day}&to={day}&bucket=hour")
    assert [row["sent"] for row in hours["items"]][12:16] == [1, 1, 1, 1]
    assert len(hours["items"]) == 24

    campaign = await tracker.get("campaigns/spring")
    assert (campaign["name"], campaign["status"], campaign["sent"]) == ("Spring", "draft", 4)
    assert [(step["step"], step["sent"]) for step in campaign["steps"]] == [(1, 4)]
    assert {s["sender_id"]: s["sent"] for s in campaign["senders"]} == {
        "sender-0": 2,
        "sender-1": 2,
    }
    listed = await tracker.get("campaigns?limit=1")
    assert [item["id"] for item in listed["items"]] == ["spring"]

    variants = await tracker.get("variants/spring")
    assert [
        (v["variant"], v["sent"], v["open_rate"], v["reply_rate"]) for v in variants["items"]
    ] == [
        ("a", 2, 0.5, 0.5),
        ("b", 2, 0.0, 0.0),
    ]
    assert variants["items"][0]["intervals"]["open_rate"] == [0.0945, 0.9055]

    for scope, name in (
        ("senders", "sender-0"),
        ("domains", "example.net"),
        ("receivers", "other"),
    ):
        items = (await tracker.get(scope))["items"]
        assert name in [item[scope.removesuffix("s")] for item in items]
        assert sum(item["sent"] for item in items) == 4


async def test_senders_domains_and_receivers_come_in_pages(tracker: RunningTracker) -> None:
    mails = [sent(new_id(), sender_id=f"sender-{n}") for n in range(5)]
    await tracker.say(*mails)
    await tracker.counted(sent=5)
    whole = await tracker.get("senders")
    assert whole["next_cursor"] is None
    seen, cursor = [], ""
    while cursor is not None:
        page = await tracker.get(f"senders?limit=2&cursor={cursor}")
        seen += page["items"]
        cursor = page["next_cursor"]
        assert len(page["items"]) <= 2
    assert seen == whole["items"]
    assert [row["sender"] for row in seen] == [f"sender-{n}" for n in range(5)]
    first = (await tracker.get("senders?limit=1"))["next_cursor"]
    for path in (f"domains?cursor={first}", "receivers?cursor=x", "senders?limit=1001"):
        answer = await tracker.http.get(
            f"/api/public/v1/analytics/{path}", headers={"X-API-Key": API_KEY}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID"), path


@pytest.mark.seed("S203")
async def test_a_timeline_tells_everything_in_order_and_in_pages(tracker: RunningTracker) -> None:
    await _tell_a_story(tracker)
    whole = await tracker.get("leads/lead0@example.org/timeline")
    assert whole["address"] == "lead0@example.org"
    assert {item["event"] for item in whole["items"][:2]} == {"email.sent", "email.opened"}
    assert whole["items"][-1]["event"] == "reply.detected"
    assert whole["items"][-1]["text"] == "Yes"
    assert whole["next_cursor"] is None
    first = await tracker.get("leads/LEAD0@example.org/timeline?limit=2")
    second = await tracker.get(f"leads/lead0@example.org/timeline?cursor={first['next_cursor']}")
    assert first["items"] + second["items"] == whole["items"]
    assert (await tracker.get("leads/nobody@example.org/timeline"))["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        pytest.param("campaigns/none", 404, "NOT_FOUND", id="an unknown campaign"),
        pytest.param("variants/none", 404, "NOT_FOUND", id="variants of an unknown campaign"),
        pytest.param("leads/nonsense/timeline", 422, "INVALID", id="no address"),
        pytest.param("activity?from=yesterday", 422, "INVALID", id="no time"),
        pytest.param("activity?bucket=year", 422, "INVALID", id="no such bucket"),
        pytest.param("activity?from=2026-02-02&to=2026-02-01", 422, "INVALID", id="backwards"),
        pytest.param("activity?from=1990-01-01&to=2026-01-01", 422, "INVALID", id="too long"),
        pytest.param("campaigns?limit=0", 422, "INVALID", id="a page of nothing"),
        pytest.param("campaigns?cursor=____", 422, "INVALID", id="a cursor of one's own"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    tracker: RunningTracker, path: str, status: int, code: str
) -> None:
    answer = await tracker.http.get(
        f"/api/public/v1/analytics/{path}", headers={"X-API-Key": API_KEY}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_figures_need_a_key(tracker: RunningTracker) -> None:
    for headers in ({}, {"X-API-Key": "wrong" * 5}):
        answer = await tracker.http.get("/api/public/v1/analytics/overview", headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "https://evil.example"}, id="another site's form"),
        pytest.param({"Origin": "null"}, id="a sandboxed frame's form"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="a cross-site request"),
    ],
)
async def test_a_form_from_another_site_is_refused(
    tracker: RunningTracker, headers: dict[str, str]
) -> None:
    for path in ("/login", "/logout"):
        answer = await tracker.http.post(path, data={"key": API_KEY}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_pages_allow_no_foreign_and_no_inline_script(tracker: RunningTracker) -> None:
    for path in ("/login", "/", tracker.unsubscribe(new_id())):
        answer = await tracker.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"


async def test_a_forged_or_damaged_session_is_no_session(tracker: RunningTracker) -> None:
    answer = await tracker.http.post("/login", data={"key": API_KEY})
    assert answer.status_code == 303
    cookie = answer.cookies["postfleet_session"]
    assert (await tracker.http.get("/dashboard/data.json")).status_code == 200
    tracker.http.cookies.clear()
    middle = len(cookie) // 2  # not the end: its last character holds bits that say nothing
    damaged = cookie[:middle] + ("A" if cookie[middle] != "A" else "B") + cookie[middle + 1 :]
    for forged in ("", "x", cookie[:-1], damaged):
        answer = await tracker.http.get(
            "/dashboard/data.json", headers={"Cookie": f"postfleet_session={forged}"}
        )
        assert answer.status_code == 401


@pytest.mark.seed("S305")
async def test_receivers_are_shown_with_their_own_reputation_tool(tracker: RunningTracker) -> None:
    await tracker.say(sent(new_id(), recipient="ann@gmail.com"), sent(new_id()))
    await tracker.counted(sent=2)
    rows = {row["receiver"]: row for row in (await tracker.get("receivers"))["items"]}
    assert rows["google"]["reputation_tool"] == "https://postmaster.google.com/"
    assert rows["other"]["reputation_tool"] == ""
    guide = (Path(__file__).parents[2] / "docs/tracking.md").read_text()
    assert "Google Postmaster Tools" in guide
    assert rows["google"]["reputation_tool"] in guide
