"""Campaigns through dispatchers that run as processes, counted by the mail world's own ledger."""

import asyncio

import pytest

from dispatcher.store.batches import from_document, job
from postfleet_sandbox import Behaviour
from tests.support.dispatcher import SENDER, DispatcherWorld


def people(count: int) -> list[str]:
    return [f"accept+{n}@people.test" for n in range(count)]


async def test_a_campaign_reaches_everybody_once_with_all_that_can_happen(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    good = people(40)
    odd = {
        "bounce+1@people.test": "failed",
        "spam+1@people.test": "failed",
        "greylist+1@people.test": "accepted",
        "tempfail+1@people.test": "accepted",
        "drop-before+1@people.test": "unknown",
        "drop-after+1@people.test": "unknown",
    }
    campaign_id = await world.campaign(one, [*good, *odd])
    rows = await world.settled(campaign_id, 46)
    assert {address: rows[address]["state"] for address in odd} == odd
    assert all(rows[address]["state"] == "accepted" for address in good)
    accepted = world.accepted()
    assert accepted == {
        **dict.fromkeys(good, 1),
        "greylist+1@people.test": 1,
        "tempfail+1@people.test": 1,
        "drop-after+1@people.test": 1,
    }
    assert rows["greylist+1@people.test"]["attempt"] == 2
    said = await world.said()
    assert (said["email.sent"], said["email.unknown"], said["email.failed"]) == (42, 2, 2)
    assert (said["email.deferred"], said["bounce.hard"]) == (2, 1)
    stats = await one.api("GET", f"/campaigns/{campaign_id}/stats")
    assert stats["deliveries"] == {"accepted": 42, "failed": 2, "unknown": 2}
    (mail,) = [m for m in world.box.records("accepted") if m.recipient == good[0]]
    content = world.box.mail(mail)
    assert f"To: {good[0]}\r\n".encode() in content
    assert f"From: <{SENDER}>\r\n".encode() in content


@pytest.mark.seed("S28")
async def test_the_daily_limit_holds_across_dispatchers_and_restarts(
    world: DispatcherWorld,
) -> None:
    await world.say_sender(effective_limit=25, daily_limit=25)
    one, two = world.dispatcher("one"), world.dispatcher("two")
    await asyncio.gather(one.start(), two.start())
    campaign_id = await world.campaign(one, people(60))
    await world.settled(campaign_id, 25, "accepted")
    one.kill()
    await one.start()
    await asyncio.sleep(1.5)
    assert sum(world.accepted().values()) == 25


async def test_jobs_that_come_again_and_to_two_dispatchers_send_once(
    world: DispatcherWorld,
) -> None:
    one, two = world.dispatcher("one"), world.dispatcher("two")
    await asyncio.gather(one.start(), two.start())
    slow = Behaviour(data_delay_ms=300)
    for address in people(30)[::7]:
        world.box.script(address, slow)
    campaign_id = await world.campaign(one, people(60))

    async def batches() -> list[object]:
        return [document async for document in world.database.batches.find({}).limit(100)]

    found = await world.until(batches, "batches")
    for again in range(5):
        jobs = [job(from_document(document), f"-again{again}") for document in found]
        assert await world.bus.put(jobs) == {}
        await asyncio.sleep(0.1)
    rows = await world.settled(campaign_id, 60)
    assert {row["state"] for row in rows.values()} == {"accepted"}
    assert world.accepted() == dict.fromkeys(people(60), 1)


async def test_a_dispatcher_that_loses_its_lease_in_the_middle_sends_nothing_twice(
    world: DispatcherWorld,
) -> None:
    """As after a long pause: another takes the batch up while the first still has it."""
    one, two = world.dispatcher("one"), world.dispatcher("two")
    await asyncio.gather(one.start(), two.start())
    for address in people(20):
        world.box.script(address, Behaviour(data_delay_ms=400))
    campaign_id = await world.campaign(one, people(20))

    async def claimed() -> bool:
        return await world.database.batches.find_one({"state": "claimed"}) is not None

    await world.until(claimed, "a claim")
    for _ in range(12):
        await world.database.batches.update_many({"state": "claimed"}, {"$set": {"lease_until": 1}})
        await asyncio.sleep(0.5)
    rows = await world.settled(campaign_id, 20, "accepted")
    assert {row["state"] for row in rows.values()} == {"accepted"}
    assert world.accepted() == dict.fromkeys(people(20), 1)


async def test_an_outage_of_the_mail_server_postpones_and_loses_nothing(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    world.box.start_outage(2.0)
    campaign_id = await world.campaign(one, people(30))
    rows = await world.settled(campaign_id, 30, "accepted")
    assert len(rows) == 30
    assert world.accepted() == dict.fromkeys(people(30), 1)


async def test_follow_ups_go_in_the_thread_of_the_first_mail(world: DispatcherWorld) -> None:
    one = world.dispatcher()
    await one.start()
    steps = [
        {"subject": "Hello", "body_text": "one"},
        {"delay": 0.5, "subject": "", "body_text": "two"},
    ]
    await world.campaign(one, people(3), steps=steps)

    async def both() -> bool:
        return sum(world.accepted().values()) == 6

    await world.until(both, "two mails each")
    await asyncio.sleep(0.5)
    assert world.accepted() == dict.fromkeys(people(3), 2)
    mails = [m for m in world.box.records("accepted") if m.recipient == people(1)[0]]
    second = world.box.mail(mails[1])
    assert f"In-Reply-To: {mails[0].message_id}\r\n".encode() in second
    assert b"Subject: Re: Hello\r\n" in second


async def test_a_campaign_goes_on_for_leads_that_are_added_after_its_end(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    campaign_id = await world.campaign(one, people(3))
    await world.settled(campaign_id, 3)

    async def completed() -> bool:
        found = await one.api("GET", f"/campaigns/{campaign_id}")
        return bool(found["status"] == "completed")

    await world.until(completed, "the campaign is completed", one.tail)
    leads = [{"email": "accept+late@people.test"}, {"email": "accept+0@people.test"}]
    report = await one.api("POST", f"/campaigns/{campaign_id}/leads", json=leads)
    assert (report["imported"], report["duplicates"]) == (1, 1)
    await world.settled(campaign_id, 4)
    assert world.accepted() == dict.fromkeys([*people(3), "accept+late@people.test"], 1)


async def test_an_import_takes_the_good_rows_tells_of_the_bad_ones_and_can_be_repeated(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start()
    campaign_id = await world.campaign(one, people(1))
    path, csv = f"/campaigns/{campaign_id}/leads", {"Content-Type": "text/csv"}
    sheet = b"\n".join(
        [
            b"email,name",
            b"accept+a@people.test,Ann",
            b"not an address,Bob",
            b"ACCEPT+A@people.test,Ann again",
            b"accept+big@people.test," + b"x" * 5_000_000,
            "accept+latin@people.test,Zoë".encode("latin-1"),
            "accept+c@people.test,Zoë".encode(),
        ]
    )
    report = await one.api("POST", path, content=sheet, headers=csv)
    assert (report["imported"], report["duplicates"], report["invalid"]) == (2, 1, 3)
    assert [(row["row"], row["field"]) for row in report["rows"]] == [
        (3, "email"),
        (5, ""),
        (6, ""),
    ]
    assert all(row["reason"] for row in report["rows"])
    again = await one.api("POST", path, content=sheet, headers=csv)
    assert (again["imported"], again["duplicates"], again["invalid"]) == (0, 3, 3)
    refused = await one.http.post(path, content=b"name,city\nAnn,Rome\n", headers=csv)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "email"
