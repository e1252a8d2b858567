"""Who may send and who may be written to, in a dispatcher that runs as a process."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from postfleet.cloudevents import Announcement
from postfleet.events.inbox import ReplyDetected
from postfleet.events.senders import (
    MailServer,
    SenderCreated,
    SenderSnapshot,
    SenderStatus,
    SmtpSecurity,
)
from postfleet.instants import now
from tests.integration.test_dispatcher_flow import People, completed, step
from tests.support.dispatcher import PASSWORD, Dispatcher, DispatcherWorld

BARRED = "barred@fleet.test"


@pytest.fixture
async def one(world: DispatcherWorld) -> Dispatcher:
    dispatcher = world.dispatcher()
    await dispatcher.start()
    return dispatcher


async def say_barred(world: DispatcherWorld, port: int, **changes: Any) -> None:
    world.box.add_account(BARRED, PASSWORD)
    server = MailServer(
        host="localhost", port=port, security=SmtpSecurity.STARTTLS, username=BARRED
    )
    snapshot = SenderSnapshot(
        **{
            "sender_id": "barred",
            "revision": 1,
            "email_address": BARRED,
            "domain": "fleet.test",
            "status": SenderStatus.READY,
            "health": 100,
            "daily_limit": 10_000,
            "effective_limit": 10_000,
            "smtp": server,
            **changes,
        }
    )
    event = SenderCreated(occurred_at=now(), sender_id="barred", sender=snapshot)
    await world.bus.publish(Announcement(event))

    async def known() -> bool:
        return await world.database.senders.find_one({"_id": "barred"}) is not None

    await world.until(known, "the barred sender is known")


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        pytest.param("warmup", {"warmup_mode": True}, marks=pytest.mark.seed("S32")),
        pytest.param("health", {"health": 19}, marks=pytest.mark.seed("S40")),
        pytest.param(
            "cooldown",
            {"cooldown_until": now() + timedelta(hours=1)},
            marks=pytest.mark.seed("S42"),
        ),
    ],
)
async def test_a_sender_that_may_not_send_is_passed_by_and_its_server_not_even_called(
    world: DispatcherWorld, one: Dispatcher, rule: str, changes: dict[str, Any]
) -> None:
    calls = 0

    def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        await say_barred(world, server.sockets[0].getsockname()[1], **changes)
        people = [f"accept+p{n}@people.test" for n in range(40)]
        campaign_id = await world.campaign(one, people, senders=["barred", "s1"])
        rows = await world.settled(campaign_id, 40, "accepted")
    assert {row["sender_id"] for row in rows.values()} == {"s1"}
    assert calls == 0
    decisions = await one.api("GET", f"/deliveries/{rows[people[0]]['_id']}/decisions")
    excluded = {out["sender_id"]: out["rule"] for out in decisions["plans"][0]["excluded"]}
    assert excluded == {"barred": rule}


@pytest.mark.seed("S40")
async def test_a_sender_of_health_twenty_is_used(world: DispatcherWorld, one: Dispatcher) -> None:
    await say_barred(world, world.box.smtp_port, health=20)
    people = [f"accept+p{n}@people.test" for n in range(10)]
    campaign_id = await world.campaign(one, people, senders=["barred"])
    rows = await world.settled(campaign_id, 10, "accepted")
    assert {row["sender_id"] for row in rows.values()} == {"barred"}


@pytest.mark.seed("S267")
async def test_the_monthly_limit_holds_across_campaigns_and_restarts(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    await world.say_sender(monthly_limit=15)
    first = await world.campaign(one, [f"accept+a{n}@people.test" for n in range(10)])
    await world.settled(first, 10, "accepted")
    second = await world.campaign(one, [f"accept+b{n}@people.test" for n in range(30)])
    await world.settled(second, 5, "accepted")
    one.kill()
    await one.start()
    await asyncio.sleep(1.5)
    assert sum(world.accepted().values()) == 15


@pytest.mark.seed("S185")
async def test_a_reply_ends_the_sequence_of_who_replied_and_of_nobody_else(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    steps = [step("always", 0, "first"), step("always", 3, "second"), step("always", 0, "third")]
    people = ["yes@people.test", "still@people.test"]
    campaign_id = await world.campaign(one, people, steps=steps, check_reply=True)
    rows = await world.settled(campaign_id, 2)
    async with People(world) as played:
        await played.replied(rows["yes@people.test"])
    await completed(world, one, campaign_id)
    assert world.accepted() == {"yes@people.test": 1, "still@people.test": 3}
    stats = await one.api("GET", f"/campaigns/{campaign_id}/stats")
    assert stats["leads"] == {"replied": 1, "finished": 1}
    assert (await world.said())[ReplyDetected.subject] == 1


@pytest.mark.seed("S189", "S191", "S303", "C32")
async def test_an_address_that_bounced_hard_is_invalid_in_every_list(
    world: DispatcherWorld, one: Dispatcher
) -> None:
    gone = "bounce+1@people.test"
    other = await one.api(
        "POST",
        "/campaigns",
        json={
            "name": "other",
            "senders": ["s1"],
            "steps": [{"subject": "Hello", "body_text": "Hi"}],
            "postal_address": "1 Main St",
        },
    )
    leads = [{"email": gone}, {"email": "accept+good@people.test"}]
    await one.api("POST", f"/campaigns/{other['id']}/leads", json=leads)
    first = await world.campaign(one, [gone, "accept+fine@people.test"])
    await world.settled(first, 2)

    async def invalid() -> bool:
        found = await one.api("GET", "/deliveries", params={"recipient": gone})
        return {lead["state"] for lead in found["leads"]} == {"invalid"}

    await world.until(invalid, "the address is invalid in both campaigns", one.tail)
    await one.api("POST", f"/campaigns/{other['id']}/start")
    await completed(world, one, other["id"])
    rows = await world.rows(other["id"])
    assert set(rows) == {"accept+good@people.test"}
    entries = await one.api("GET", "/suppressions")
    assert [(e["entry"], e["reason"]) for e in entries["items"]] == [(gone, "hard bounce")]
    # And the person may see all of it, however the address is written.
    kept = await one.api("GET", f"/deliveries/of/{gone.replace('people.test', 'People.TEST')}")
    assert (kept["address"], kept["suppressed"]) == (gone, "hard bounce")
    assert {lead["campaign_id"] for lead in kept["leads"]} == {first, other["id"]}
    assert {(lead["email"], lead["state"]) for lead in kept["leads"]} == {(gone, "invalid")}
    assert [(d["campaign_id"], d["recipient"]) for d in kept["deliveries"]] == [(first, gone)]
    # A list that has it again mails it just as little.
    third = await world.campaign(one, [gone, "accept+more@people.test"])
    rows = await world.settled(third, 2)
    assert rows[gone]["state"] == "skipped"
    assert "hard bounce" in rows[gone]["reason"]
