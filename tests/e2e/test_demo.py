"""`make up` runs the main job end to end, and its figures are the mail world's own."""

import asyncio
from collections import Counter
from pathlib import Path

import nats
import pytest
from nats.js.api import DeliverPolicy

from tests.support.platform import Platform

_DONE = "│ unsubscribed │"
_SUBJECTS = (
    "sender.created",
    "email.sent",
    "email.opened",
    "reply.detected",
    "bounce.hard",
    "recipient.unsubscribed",
)


def _check(up: Platform) -> None:
    """Both columns of the table agree, and nobody was mailed twice or not at all."""
    summary = up.summary()
    assert set(summary) == {"sent", "opened", "clicked", "replied", "bounced", "unsubscribed"}
    assert all(ours == theirs > 0 for ours, theirs in summary.values()), up.output
    world = up.sandbox("/summary")
    assert world["duplicates"] == 0
    assert world["scanner_opens"] > 0, "the scanners must have been there to be left out"
    accepted = Counter(
        record["recipient"] for record in up.sandbox("/ledger") if record["kind"] == "accepted"
    )
    refused = {r["recipient"] for r in up.sandbox("/ledger") if r["kind"] == "rejected"}
    leads = {lead["email"]: lead for lead in _leads(up)}
    assert set(accepted) | refused == set(leads), "every lead was mailed"
    assert max(accepted.values()) == 2, "one mail a step"
    for address in (a for a, lead in leads.items() if lead["state"] != "finished"):
        assert accepted[address] <= 1, (
            f"{address} got a second step although {leads[address]['state']}"
        )


def _leads(up: Platform) -> list[dict[str, str]]:
    with up.api() as api:
        campaign = api.get("/campaigns").json()["items"][0]["id"]
        found, cursor = [], None
        while True:
            query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            page = api.get(f"/campaigns/{campaign}/leads", params=query).json()
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


async def _events(url: str) -> dict[str, dict[str, str]]:
    """The headers of one event of each subject, as a new subscriber replays them."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        seen = {}
        for subject in _SUBJECTS:
            subscription = await stream.subscribe(
                subject, ordered_consumer=True, deliver_policy=DeliverPolicy.ALL
            )
            message = await subscription.next_msg(timeout=5)
            seen[subject] = dict(message.headers or {})
            await subscription.unsubscribe()
        return seen
    finally:
        await client.close()


@pytest.mark.timeout(300)
@pytest.mark.seed("S163", "S185", "S200")
def test_the_demo_ends_with_the_mail_worlds_own_figures(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", demo=True) as up:
        up.wait_for(_DONE, 180)
        _check(up)
        for subject, headers in asyncio.run(_events(up.nats_url)).items():
            assert headers["ce-specversion"] == "1.0"
            assert headers["ce-type"] == subject
            assert headers["ce-id"] == headers["Nats-Msg-Id"]
            assert headers["ce-source"].startswith("/")
            assert headers["ce-time"].endswith("Z")
            assert headers["ce-subject"]
            assert headers["content-type"] == "application/json"
        before = up.summary()
        assert up.stop() == 0, "Ctrl-C is a good end"

    with Platform(tmp_path / "data", demo=True) as again:
        again.wait_for(_DONE, 60)
        assert again.summary() == before, "the second start goes on with the old data"
        assert again.stop() == 0


@pytest.mark.timeout(300)
def test_a_dispatcher_killed_in_the_middle_mails_every_lead_once(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", demo=True) as up:
        up.wait_for("campaign started", 60)
        for accepted in (20, 90, 150):
            up.wait_until(
                lambda wanted=accepted: up.sandbox("/summary")["accepted"] >= wanted,
                60,
                f"{accepted} accepted mails",
            )
            up.signal("dispatcher")
        up.wait_for(_DONE, 180)
        _check(up)
