"""What an operator may name, and how: senders of a campaign, whom to suppress, whose mail to preview."""

import asyncio
from typing import Any

import pytest

from tests.support.dispatcher import Dispatcher, DispatcherWorld


@pytest.fixture
async def served(world: DispatcherWorld) -> Dispatcher:
    one = world.dispatcher()
    await one.start()
    await world.until(world._sender_known, "the sender is known")
    return one


async def _draft(one: Dispatcher, senders: list[str]) -> str:
    body = {
        "name": "names",
        "senders": senders,
        "steps": [{"subject": "Hi", "body_text": "Hi {{ email }}"}],
        "postal_address": "1 Main St",
    }
    campaign = str((await one.api("POST", "/campaigns", json=body))["id"])
    await one.api("POST", f"/campaigns/{campaign}/leads", json=[{"email": "accept+1@people.test"}])
    return campaign


async def test_a_campaign_starts_with_all_of_its_senders_or_says_who_is_nobody(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    campaign = await _draft(one, ["s1", "s2"])
    starting = asyncio.create_task(one.http.post(f"/campaigns/{campaign}/start"))
    await asyncio.sleep(0.3)  # the second sender is heard of only now
    await world.say_sender(sender_id="s2", email_address="ben@fleet.test")
    assert (await starting).status_code == 200
    other = await _draft(one, ["s1", "s9", "nobody@fleet.test"])
    refused = await one.http.post(f"/campaigns/{other}/start")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["senders.1", "senders.2"]
    assert (await one.api("GET", f"/campaigns/{other}"))["status"] == "draft"


SUPPRESSED: list[tuple[dict[str, Any], str]] = [
    ({"entry": "Ann@X.test"}, "ann@x.test"),
    ({"address": "ann@x.test", "source": "crm"}, "ann@x.test"),
    ({"entry": "@x.test"}, "@x.test"),
    ({"domain": "X.test"}, "@x.test"),
    ({"domain": "@x.test"}, "@x.test"),
    ({"address": "@x.test"}, "address"),
    ({"address": "no-at-sign"}, "address"),
    ({"domain": "not a domain"}, "domain"),
    ({"entry": "a@x.test", "domain": "x.test"}, "entry"),
    ({"reason": "manual"}, "entry"),
]


async def test_an_address_or_a_domain_is_suppressed(served: Dispatcher) -> None:
    """`entry` of the table is what is suppressed, or the field that a refusal names."""
    for body, entry in SUPPRESSED:
        answer = await served.http.post("/suppressions", json={"reason": "by phone", **body})
        if "@" not in entry:
            assert answer.status_code == 422, answer.text
            assert [error["field"] for error in answer.json()["errors"]] == [entry]
            continue
        assert answer.status_code == 201, answer.text
        (shown,) = (await served.api("GET", "/suppressions"))["items"]
        whom = {"domain": entry[1:]} if entry.startswith("@") else {"address": entry}
        assert shown | {"entry": entry, "source": body.get("source", "api"), **whom} == shown
        assert shown["created_at"].endswith("Z")
        found = await served.api("GET", "/suppressions", params=whom)
        assert found == {"items": [shown], "next_cursor": None}
        other = {name: f"{name}{value}" for name, value in whom.items()}
        assert (await served.api("GET", "/suppressions", params=other))["items"] == []
        (name,) = whom.values()
        assert (await served.http.delete(f"/suppressions/{name}")).status_code == 204
    for wrong in ({"address": ""}, {"address": "@x.test"}, {"domain": "x", "address": "a@x.test"}):
        assert (await served.http.get("/suppressions", params=wrong)).status_code == 422


async def test_a_lead_is_previewed_by_id_and_by_address(served: Dispatcher) -> None:
    campaign = await _draft(served, ["s1"])
    (lead,) = (await served.api("GET", f"/campaigns/{campaign}/leads"))["items"]
    preview = f"/campaigns/{campaign}/preview"
    by_id = await served.api("GET", preview, params={"lead": lead["id"]})
    by_address = await served.api("GET", preview, params={"lead": "accept+1@people.test"})
    assert by_id["headers"]["To"] == by_address["headers"]["To"] == "accept+1@people.test"
    assert (await served.http.get(preview, params={"lead": "0" * 24})).status_code == 404
    assert (await served.http.get(preview, params={"lead": "a@@b"})).status_code == 422
