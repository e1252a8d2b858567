"""What would be sent when, by whom, and why a mail has not gone: over HTTP, on real servers."""

from datetime import timedelta
from typing import Any

import pytest

from postfleet.instants import now
from tests.support.dispatcher import DispatcherWorld


@pytest.mark.seed("S28", "S40", "S42")
async def test_the_plan_ahead_and_the_reasons_of_each_mail(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start()
    await world.say_sender(effective_limit=4)
    step = {"subject": "Hello", "body_text": "Hi {{ email }}"}
    later = {"subject": "Again", "body_text": "Hi", "delay": 2 * 24 * 3600}
    people = [f"accept+{n}@people.test" for n in range(10)]
    campaign_id = await world.campaign(one, people, steps=[step, later])
    rows = await world.settled(campaign_id, 4)

    path = f"/campaigns/{campaign_id}"
    ahead = await one.api("GET", f"{path}/plan")
    assert ahead["mails"] == 6 + 10
    assert ahead["never_sent"] == 0
    assert all(day["mails"] <= 4 for day in ahead["days"])
    assert len(ahead["days"]) >= 4
    (load,) = ahead["senders"]
    assert (load["sender_id"], load["mails"], load["effective_limit"]) == ("s1", 16, 4)
    assert ahead["excluded"][0]["rule"] == "limit"

    gone = await one.api("GET", f"{path}/plan", params={"without_domain": ["fleet.test"]})
    assert (gone["finishes_at"], gone["mails"], gone["never_sent"]) == (None, 0, 10)

    mailed = next(iter(rows))
    why = await _why(one, path, mailed)
    assert (why["waits_for"], why["next_step"]) == ("delay", 1)
    assert why["would_go_at"] > (now() + timedelta(hours=40)).isoformat()
    went = await one.api("GET", f"/deliveries/{why['earlier_deliveries'][0]}/decisions")
    assert went["plans"][0]["chosen"] == "s1"
    assert went["plans"][0]["weights"] == {"s1": 400}

    waiting = next(address for address in people if address not in rows)
    why = await _why(one, path, waiting)
    assert (why["waits_for"], why["eligible"]) == ("no_sender", [])
    assert why["excluded"] == [
        {"sender_id": "s1", "rule": "limit", "detail": "4 of 4 are used today"}
    ]
    midnight = (now() + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00")
    assert why["would_go_at"].startswith(midnight)

    await one.api("POST", f"{path}/pause")
    why = await _why(one, path, waiting)
    assert (why["waits_for"], why["detail"]) == ("campaign", "the campaign is paused")


async def _why(one: Any, path: str, lead: str) -> Any:
    return await one.api("GET", f"{path}/leads/{lead}/decisions")
