"""Against a provider that greylists, throttles and breaks: slower, patient, and nothing is lost."""

import asyncio
from typing import Any

import pytest

from postfleet_sandbox import Behaviour
from tests.support.dispatcher import Dispatcher, DispatcherWorld

TWO_STEPS = [
    {"subject": "Hello", "body_text": "one"},
    {"delay": 3600, "subject": "", "body_text": "two"},
]


def people(count: int) -> list[str]:
    return [f"accept+{n}@people.test" for n in range(count)]


async def attempts(one: Dispatcher, row: dict[str, Any]) -> list[dict[str, Any]]:
    decisions = await one.api("GET", f"/deliveries/{row['_id']}/decisions")
    return sorted(decisions["attempts"], key=lambda attempt: attempt["at"])


async def kept(world: DispatcherWorld, collection: str, key: str) -> Any:
    """The document, as soon as there is one."""

    async def found() -> Any:
        return await world.database[collection].find_one({"_id": key})

    return await world.until(found, f"{collection} of {key}")


async def hours_pass(world: DispatcherWorld, campaign_id: str, count: int) -> None:
    """Paces recover to the ceiling, who waits is due: again and again until all is accepted."""

    async def done() -> bool:
        await world.database.paces.update_many({}, {"$set": {"since": 1}})
        waiting = {"state": {"$in": ["deferred", "postponed"]}}
        await world.database.deliveries.update_many(waiting, {"$set": {"next_attempt_at": 1}})
        await world.database.leads.update_many({"step": 0}, {"$set": {"due": 0}})
        await asyncio.sleep(0.2)
        rows = (await world.rows(campaign_id)).values()
        return sum(row["state"] == "accepted" for row in rows) == count

    await world.until(done, "all accepted", seconds=60)


@pytest.mark.parametrize(
    "reply", ["421 4.7.0 Too many messages, slow down", "450 4.7.28 Rate limited"]
)
async def test_a_destination_that_throttles_is_paced_and_everybody_gets_the_mail(
    world: DispatcherWorld, reply: str
) -> None:
    one = world.dispatcher()
    await one.start(
        POSTFLEET_DISPATCHER_PACE_FLOOR_PER_HOUR="7200",
        POSTFLEET_DISPATCHER_PACE_CEILING_PER_HOUR="20000",
        POSTFLEET_DISPATCHER_MX_LOOKUPS="false",
    )
    for address in people(12):
        world.box.script(address, Behaviour(rcpt_reply=reply, times=1))
    campaign_id = await world.campaign(one, people(30))
    pace = await kept(world, "paces", "people.test")
    assert pace["per_hour"] >= 7_200_000
    metrics = (await one.http.get(f"http://127.0.0.1:{one.port}/metrics")).text
    assert 'postfleet_destination_pace_per_hour{destination="other"} 7' in metrics
    await hours_pass(world, campaign_id, 30)
    assert world.accepted() == dict.fromkeys(people(30), 1)


@pytest.mark.seed("S193", "C35")
async def test_greylisting_is_waited_out_as_long_as_the_reply_asks(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start()
    greylist = Behaviour(rcpt_reply="450 4.7.1 Greylisted, try again in 3 seconds", times=1)
    world.box.script(people(1)[0], greylist)
    campaign_id = await world.campaign(one, people(3))
    rows = await world.settled(campaign_id, 3, "accepted")
    row = rows[people(1)[0]]
    first = (await attempts(one, row))[0]
    assert (first["category"], row["attempt"]) == ("greylisted", 2)
    assert row["accepted_at"] - row["first_attempt_at"] >= 3000
    assert await world.database.paces.find_one({}) is None, "greylisting is no throttling"


@pytest.mark.seed("S42")
async def test_a_server_that_is_away_is_left_alone_until_one_probe_gets_through(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start(
        POSTFLEET_DISPATCHER_BREAKER_FAILURES="1",
        POSTFLEET_DISPATCHER_BREAKER_PAUSE_SECONDS="2",
    )
    world.box.start_outage(3.0)
    campaign_id = await world.campaign(one, people(25))
    breaker = await kept(world, "breakers", "s1")
    assert (breaker["failures"] >= 1, breaker["open_until"] > 0) == (True, True)
    await hours_pass(world, campaign_id, 25)
    assert world.accepted() == dict.fromkeys(people(25), 1)
    assert await world.database.breakers.find_one({}) is None


async def test_a_refused_sender_fails_nobodys_mail(world: DispatcherWorld) -> None:
    """553 at MAIL FROM for each mail: they wait, and the sender is to blame."""
    one = world.dispatcher()
    await one.start(POSTFLEET_DISPATCHER_RETRY_BASE_SECONDS="2")
    await world.say_sender(email_address="somebody.else@fleet.test")
    campaign_id = await world.campaign(one, people(4))
    rows = await world.settled(campaign_id, 4, "deferred", "queued")
    assert {row["fault"] for row in rows.values()} == {"sender"}
    await world.say_sender()
    await world.settled(campaign_id, 4, "accepted")
    assert (await world.said())["email.failed"] == 0


@pytest.mark.seed("S195")
async def test_a_campaign_whose_addresses_bounce_is_paused_and_goes_on_when_resumed(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start(POSTFLEET_DISPATCHER_WATCH_EVERY_SECONDS="0.2")
    bad = [f"bounce+{n}@people.test" for n in range(3)]
    campaign_id = await world.campaign(one, [*people(22), *bad], steps=TWO_STEPS)

    async def paused() -> bool:
        found = await one.api("GET", f"/campaigns/{campaign_id}")
        return bool(found["status"] == "paused")

    await world.until(paused, "the campaign is paused", one.tail)
    assert (await world.said())["campaign.paused"] == 1
    await one.api("POST", f"/campaigns/{campaign_id}/resume")
    leads = [{"email": f"accept+new{n}@people.test"} for n in range(25)]
    await one.api("POST", f"/campaigns/{campaign_id}/leads", json=leads)
    await world.settled(campaign_id, 47, "accepted")
    assert not await paused()
    answer = await one.api("GET", "/pauses")
    assert answer["items"] == []
    missing = await one.http.post("/pauses/nothing/resume")
    assert missing.status_code == 404
