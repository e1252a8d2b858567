"""The dispatcher's half of warm-up: mails by the plan, answers to what arrived, the fleet alone."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import orjson
import pytest
from nats.aio.msg import Msg

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import WarmupReceived
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.instants import day_of, now, now_ms
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from postfleet.topology import RPC_WARMUP
from tests.support.dispatcher import (
    MASTER_KEY,
    PASSWORD,
    SENDER,
    Dispatcher,
    DispatcherWorld,
)

_BEN = "ben@second.test"
_QUICK = {
    "POSTFLEET_DISPATCHER_WARMUP_EVERY_SECONDS": "0.2",
    "POSTFLEET_DISPATCHER_WARMUP_DAY_SECONDS": "1",
    "POSTFLEET_DISPATCHER_WARMUP_ANSWER_SECONDS": "0.5",
}


async def say_ben(world: DispatcherWorld, **changes: Any) -> None:
    """The partner, on a domain of his own."""
    login = MailServer(
        host="localhost",
        port=world.box.smtp_port,
        security=SmtpSecurity.STARTTLS,
        username=_BEN,
    )
    ben = {"sender_id": "s2", "email_address": _BEN, "domain": "second.test", "smtp": login}
    await world.say_sender(**{**ben, "display_name": "Ben Ott", **changes})


async def planned(world: DispatcherWorld, *exchanges: dict[str, Any]) -> Dispatcher:
    """A dispatcher, and a registry whose plan for `s1` has these mails."""

    async def plan(message: Msg) -> None:
        asked = orjson.loads(message.data)
        date = day_of(now_ms())
        answer = {"date": date, "exchanges": exchanges if asked["sender_id"] == "s1" else []}
        await message.respond(orjson.dumps(answer))

    await world.bus.client.subscribe(RPC_WARMUP, cb=plan)
    world.box.add_account(_BEN, PASSWORD)
    await say_ben(world)
    await world.say_sender(status="warmup", warmup_mode=True, bcc="audit@fleet.test")
    one = world.dispatcher()
    await one.start(**_QUICK)
    await world.until(world._sender_known, "the sender is known")
    return one


def exchange(number: int, partner: str = "s2", *, reply: bool = False) -> dict[str, Any]:
    return {"number": number, "partner_id": partner, "at": 0.0, "reply": reply}


def mails_to(world: DispatcherWorld, recipient: str) -> list[EmailMessage]:
    records = [m for m in world.box.records("accepted") if m.recipient == recipient]
    return [
        email.message_from_bytes(world.box.mail(record), policy=email.policy.default)
        for record in records
    ]


async def arrived(world: DispatcherWorld, one: Dispatcher, recipient: str, count: int) -> None:
    async def enough() -> bool:
        return world.accepted()[recipient] >= count

    await world.until(enough, f"{count} mails to {recipient}", one.tail)


async def said(world: DispatcherWorld, one: Dispatcher, count: int) -> None:
    async def all_said() -> bool:
        return (await world.said())["email.sent"] == count

    await world.until(all_said, f"{count} mails are said", one.tail)


@pytest.mark.seed("S31")
async def test_the_mails_of_the_plan_go_once_without_footer_and_copies(
    world: DispatcherWorld,
) -> None:
    one = await planned(world, exchange(0), exchange(1, reply=True), exchange(2, "nobody"))
    await arrived(world, one, _BEN, 2)
    await said(world, one, 2)  # else the crash leaves them in doubt
    one.kill()
    await one.start(**_QUICK)
    sent = await one.api("POST", "/messages", json={
        "to": "accept+1@people.test", "from": "s2", "subject": "After", "text": "Hi",
    })  # fmt: skip
    await arrived(world, one, "accept+1@people.test", 1)
    assert world.accepted() == {_BEN: 2, "accept+1@people.test": 1}, "once, and no copies"
    keys = TokenKeys(KeyRing.parse(MASTER_KEY))
    wanted = set()
    for mail in mails_to(world, _BEN):
        token = keys.read(Purpose.WARMUP, mail["X-Postfleet-Warmup"])
        assert token is not None
        wanted.add(token.link_id)
        assert (mail["From"], mail["To"]) == (SENDER, _BEN)
        assert not [name for name in mail if name.lower().startswith("list-")]
        assert "Ben" in mail.get_content()
        assert "http" not in mail.get_content()
        row = await one.api("GET", f"/deliveries/{token.delivery_id}")
        assert (row["category"], row["campaign_id"]) == ("warmup", "")
    assert wanted == {"00", "01"}
    assert sent["id"]
    await said(world, one, 3)


async def test_an_answer_names_what_it_answers_and_is_written_once(world: DispatcherWorld) -> None:
    one = await planned(world)
    delivery = derived_id("delivery", "x")

    async def tell(**changes: Any) -> None:
        event = WarmupReceived(
            **{
                "occurred_at": now(),
                "delivery_id": delivery,
                "sender_id": "s1",
                "recipient": _BEN,
                "message_id": "opening@fleet.test",
                "partner_id": "s2",
                "placement": "junk",
                "answer_wanted": True,
                "mail_subject": "Lunch on Friday?",
                **changes,
            }
        )
        await world.bus.publish(Announcement(event))

    await tell()
    await tell()
    await tell(delivery_id=derived_id("delivery", "y"), answer_wanted=False)
    await tell(delivery_id=derived_id("delivery", "z"), partner_id="a stranger")
    await tell(delivery_id=derived_id("delivery", "last"), mail_subject="Last")

    async def both() -> bool:
        subjects = {mail["Subject"] for mail in mails_to(world, SENDER)}
        return subjects == {"Re: Lunch on Friday?", "Re: Last"}

    await world.until(both, "the answers", one.tail)
    (mail,) = [m for m in mails_to(world, SENDER) if "Lunch" in m["Subject"]]
    assert mail["In-Reply-To"] == mail["References"] == "<opening@fleet.test>"
    assert mail["From"] == f"Ben Ott <{_BEN}>"
    assert world.accepted() == {SENDER: 2}


@pytest.mark.seed("S31")
async def test_a_mail_whose_partner_has_left_the_fleet_is_not_sent(world: DispatcherWorld) -> None:
    one = await planned(world)
    event = WarmupReceived(
        occurred_at=now(),
        delivery_id=derived_id("delivery", "x"),
        sender_id="s1",
        recipient=_BEN,
        message_id="opening@fleet.test",
        partner_id="s2",
        placement="inbox",
        answer_wanted=True,
    )
    one.kill()
    await one.start(**{**_QUICK, "POSTFLEET_DISPATCHER_WARMUP_ANSWER_SECONDS": "20"})
    await world.bus.publish(Announcement(event))

    async def taken() -> bool:
        return await world.database.messages.count_documents({}) == 1

    await world.until(taken, "the answer is taken in", one.tail)
    await world.say_sender(deleted=True)
    await world.until(world._sender_known, "Ann is known to be gone", one.tail)
    await world.database.messages.update_many({}, {"$set": {"due_at": now_ms()}})

    async def skipped() -> bool:
        return (await world.said())["email.skipped"] == 1

    await world.until(skipped, "the mail is skipped", one.tail)
    assert world.accepted() == {}


async def test_nobody_else_may_send_under_the_category(world: DispatcherWorld) -> None:
    one = await planned(world)
    body = {"to": "a@people.test", "from": "s2", "subject": "x", "text": "y", "category": "warmup"}
    answer = await one.http.post("/messages", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "category"
