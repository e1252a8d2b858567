"""Mails of their own over HTTP: taken in once, sent once, under the same limits and suppression."""

import asyncio
import base64
import email
import email.policy
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from postfleet.http import encode_cursor
from postfleet.instants import now
from tests.support.dispatcher import SENDER, Dispatcher, DispatcherWorld


async def started(world: DispatcherWorld, **settings: str) -> Dispatcher:
    one = world.dispatcher()
    await one.start(**settings)
    await world.until(world._sender_known, "the sender is known")
    return one


def mail(**fields: Any) -> dict[str, Any]:
    given = {"to": "accept+1@people.test", "from": "s1", "subject": "Hello", "text": "Hi"}
    return {**given, **fields}


async def state(world: DispatcherWorld, via: Dispatcher, id_: str, *wanted: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    async def there() -> bool:
        shown.update(await via.api("GET", f"/messages/{id_}"))
        return all(one["state"] in wanted for one in shown["deliveries"])

    await world.until(there, f"{id_} is {wanted}", lambda: f"{shown}\n{via.tail()}")
    return shown


def received(world: DispatcherWorld, recipient: str) -> EmailMessage:
    (record,) = [m for m in world.box.records("accepted") if m.recipient == recipient]
    return email.message_from_bytes(world.box.mail(record), policy=email.policy.default)


@pytest.mark.seed("C25", "S196")
async def test_campaign_mail_has_a_footer_and_headers_to_leave_by_and_a_message_has_none(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    body = mail(to="accept+own@people.test", html="<p>Hi</p>")
    made = await one.api("POST", "/messages", json=body)
    await state(world, one, made["id"], "accepted")
    campaign = await world.campaign(one, ["accept+led@people.test"])
    await world.settled(campaign, 1)
    own, led = received(world, "accept+own@people.test"), received(world, "accept+led@people.test")
    assert led["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    (link,) = led["List-Unsubscribe"].strip("<>").splitlines()
    assert link in _texts(led)
    assert [name for name in own if name.startswith("List-")] == []
    assert "nsubscribe" not in _texts(own)
    assert "/u/" not in own.as_string()


def _texts(one: EmailMessage) -> str:
    return "".join(p.get_content() for p in one.walk() if p.get_content_maintype() == "text")


async def test_a_message_is_sent_once_and_shown_with_what_became_of_it(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    body = mail(
        to=["accept+1@people.test", "accept+2@people.test"],
        html="<p>Grüße</p>",
        reply_to="desk@fleet.test",
        headers={"X-Order": "4711", "List-Id": "<orders.fleet.test>"},
        attachments=[
            {
                "filename": "Rechnung Ü.pdf",
                "content_type": "application/pdf",
                "content": base64.b64encode(b"%PDF\r\n.\r\n").decode(),
            }
        ],
    )
    taken = await one.api("POST", "/messages", json=body)
    assert taken["id"] == taken["delivery_id"] == taken["deliveries"][0]["id"]
    shown = await state(world, one, taken["id"], "accepted")
    assert world.accepted() == {"accept+1@people.test": 1, "accept+2@people.test": 1}
    assert (shown["category"], shown["subject"]) == ("transactional", "Hello")
    found = received(world, "accept+2@people.test")
    assert found["To"] == "accept+2@people.test"  # and nobody else
    assert (found["From"], found["Reply-To"]) == (SENDER, "desk@fleet.test")
    assert (found["X-Order"], found["List-Id"]) == ("4711", "<orders.fleet.test>")
    assert found["Message-ID"] == shown["deliveries"][1]["message_id"]
    html = found.get_body(("html",))
    assert html is not None
    assert html.get_content().strip() == "<p>Grüße</p>"
    (attached,) = found.iter_attachments()
    assert attached.get_filename() == "Rechnung Ü.pdf"
    assert attached.get_payload(decode=True) == b"%PDF\r\n.\r\n"
    row = await one.api("GET", f"/deliveries/{taken['id']}")
    assert (row["state"], row["campaign_id"], row["category"]) == ("accepted", "", "transactional")
    decided = await one.api("GET", f"/deliveries/{taken['id']}/decisions")
    assert decided["plans"][0]["eligible"] == ["s1"]
    said = await world.said()
    assert said["email.sent"] == 2


async def test_the_same_key_makes_the_same_mail_also_when_its_answer_was_forgotten(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    headers = {"Idempotency-Key": "order-4711"}
    first = await one.api("POST", "/messages", json=mail(), headers=headers)
    await world.database.idempotency.delete_many({})
    again = await one.api("POST", "/messages", json=mail(), headers=headers)
    assert again == first
    await world.database.idempotency.delete_many({})
    other = await one.http.post("/messages", json=mail(subject="Other"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    await state(world, one, first["id"], "accepted")
    assert world.accepted() == {"accept+1@people.test": 1}


async def test_a_scheduled_mail_waits_and_can_be_canceled(world: DispatcherWorld) -> None:
    one = await started(world)
    later = mail(send_at="2027-06-01T10:00:00+02:00")
    taken = await one.api("POST", "/messages", json=later)
    assert taken["send_at"] == "2027-06-01T08:00:00.000Z"
    shown = await one.api("GET", f"/deliveries/{taken['id']}")
    assert (shown["state"], shown["next_attempt_at"]) == ("scheduled", taken["send_at"])
    gone = await one.http.delete(f"/messages/{taken['id']}")
    assert gone.status_code == 204
    assert (await one.api("GET", f"/messages/{taken['id']}"))["state"] == "canceled"
    now = await one.api("POST", "/messages", json=mail())
    await state(world, one, now["id"], "accepted")
    late = await one.http.delete(f"/messages/{now['id']}")
    assert (late.status_code, late.json()["code"]) == (409, "TOO_LATE")
    assert (await one.http.delete("/messages/none")).status_code == 404
    assert sum(world.accepted().values()) == 1


async def test_all_mail_to_a_person_is_found_by_the_address_in_any_spelling(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    later = (now() + timedelta(hours=1)).isoformat()
    sent = await one.api("POST", "/messages", json=mail(to=["x@people.test", "Ann@People.Test"]))
    await state(world, one, sent["id"], "accepted")
    await one.api("POST", "/messages", json=mail(to="Ann@people.test", send_at=later))
    await one.api("POST", "/messages", json=mail(to="other@people.test", send_at=later))

    async def gone() -> Any:
        params = {"recipient": "Ann@PEOPLE.test"}
        found = await one.api("GET", "/deliveries", params=params)
        return found if len(found["items"]) == 2 else None

    found = await world.until(gone, "both mails are found", one.tail)
    scheduled, accepted = found["items"]
    assert (scheduled["state"], scheduled["mail_subject"]) == ("scheduled", "Hello")
    assert accepted["id"] == sent["deliveries"][1]["id"]
    assert accepted["state"] == "accepted"
    assert found["leads"] == []
    await _shown_in_pages(one, "Ann@people.test", [scheduled["id"], accepted["id"]])


async def _shown_in_pages(one: Dispatcher, recipient: str, expected: list[str]) -> None:
    params: dict[str, Any] = {"recipient": recipient, "limit": 1}
    for id_ in expected:
        page = await one.api("GET", "/deliveries", params=params)
        assert [item["id"] for item in page["items"]] == [id_]
        params["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    for wrong in ("x", encode_cursor("row:x:y"), encode_cursor("page:9:x"), encode_cursor("due")):
        refused = await one.http.get("/deliveries", params={**params, "cursor": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


async def test_a_mail_is_made_from_a_template_and_keeps_the_version_it_was_made_from(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    texts = {
        "subject": "Welcome {{ name }}",
        "text": "Dear {{ name }}",
        "html": "<p>{{ name }}</p>",
    }
    kept = await one.api("POST", "/templates", json={"id": "welcome", "name": "Welcome", **texts})
    assert (kept["version"], kept["fields"], kept["required"]) == (1, ["name"], ["name"])
    changed = await one.api("PATCH", "/templates/welcome", json={"subject": "Hi {{ name }}"})
    assert (changed["version"], changed["text"]) == (2, "Dear {{ name }}")
    same = await one.api("PATCH", "/templates/welcome", json={"name": "Welcome"})
    assert same["version"] == 2
    data = {"data": {"name": "Ann & Bo"}}
    shown = await one.api("POST", "/templates/welcome/preview", params={"version": 1}, json=data)
    assert (shown["subject"], shown["html"]) == ("Welcome Ann & Bo", "<p>Ann &amp; Bo</p>")
    both = await one.api("GET", "/templates/welcome/versions")
    assert [v["subject"] for v in both["items"]] == ["Hi {{ name }}", "Welcome {{ name }}"]

    given = {"from": "s1", "template_id": "welcome", **data}
    new = await one.api("POST", "/messages", json={**given, "to": "accept+1@people.test"})
    old = {**given, "to": "accept+2@people.test", "template_version": 1}
    first = await one.api("POST", "/messages", json=old)
    for taken, label in ((new, "welcome:2"), (first, "welcome:1")):
        assert (await state(world, one, taken["id"], "accepted"))["template"] == label
    subjects = {
        m["To"]: m["Subject"] for m in (received(world, f"accept+{n}@people.test") for n in (1, 2))
    }
    assert subjects == {
        "accept+1@people.test": "Hi Ann & Bo", "accept+2@people.test": "Welcome Ann & Bo",
    }  # fmt: skip
    for wrong, field in (
        ({**old, "data": {}}, "data.name"),
        ({**old, "data": {"name": "A", "x": "B"}}, "data.x"),
        ({**old, "template_version": 9}, "template_version"),
        ({**old, "template_id": "nobody"}, "template_id"),
    ):
        refused = await one.http.post("/messages", json=wrong)
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    again = await one.http.post("/templates", json={"id": "welcome", "name": "W", **texts})
    loop = await one.http.post(
        "/templates", json={"name": "L", **texts, "text": "{% for a in b %}"}
    )
    assert (again.status_code, loop.status_code) == (409, 422)
    assert loop.json()["errors"][0]["field"] == "text"
    assert (await one.http.delete("/templates/welcome")).status_code == 204
    assert (await one.http.get("/templates/welcome")).status_code == 404
    assert (await one.api("GET", "/templates"))["items"] == []


async def test_what_could_not_go_in_time_is_skipped_and_its_content_removed(
    world: DispatcherWorld,
) -> None:
    one = await started(
        world,
        POSTFLEET_DISPATCHER_MESSAGE_EXPIRES_AFTER_SECONDS="1",
        POSTFLEET_DISPATCHER_MESSAGE_KEEP_SECONDS="0",
    )
    await world.say_sender(suspended=True)
    await world.until(world._sender_known, "the suspension is known")
    taken = await one.api("POST", "/messages", json=mail())
    await state(world, one, taken["id"], "postponed")
    await world.say_sender()
    await world.until(world._sender_known, "the end of it is known")
    await asyncio.sleep(1.1)
    await world.database.deliveries.update_one(
        {"_id": taken["id"]}, {"$set": {"next_attempt_at": 1}}
    )
    shown = await state(world, one, taken["id"], "skipped")
    assert shown["deliveries"][0]["reason"].startswith(("expired", "its content was removed"))
    one.kill()
    await one.start()  # its first pass tidies up

    async def removed() -> bool:
        return await world.database.messages.find_one({"_id": taken["id"]}) is None

    await world.until(removed, "the content is gone")
    assert (await state(world, one, taken["id"], "skipped"))["state"] == "skipped"
    assert not world.accepted()


@pytest.mark.seed("S275")
async def test_suppressed_people_and_deleted_senders_get_and_send_nothing(
    world: DispatcherWorld,
) -> None:
    one = await started(world)
    await one.api("POST", "/suppressions", json={"entry": "accept+1@people.test"})
    taken = await one.api("POST", "/messages", json=mail(to="Accept+1@people.test"))
    shown = await state(world, one, taken["id"], "skipped")
    assert shown["deliveries"][0]["reason"] == "suppressed: manual"
    await world.say_sender(suspended=True)
    await world.until(world._sender_known, "the suspension is known")
    held = await one.api("POST", "/messages", json=mail(to="accept+2@people.test"))
    await state(world, one, held["id"], "postponed")
    await world.say_sender(deleted=True)
    await world.until(world._sender_known, "the deletion is known")
    await world.database.deliveries.update_one(
        {"_id": held["id"]}, {"$set": {"next_attempt_at": 1}}
    )
    shown = await state(world, one, held["id"], "skipped")
    assert shown["deliveries"][0]["reason"] == "the sender was deleted"
    refused = await one.http.post("/messages", json=mail())
    assert refused.json()["errors"][0]["code"] == "unknown_sender"
    assert not world.accepted()


async def test_a_category_of_ones_own_is_kept_and_the_mail_is_said(world: DispatcherWorld) -> None:
    one = await started(world)
    taken = await one.api("POST", "/messages", json=mail(category="receipts"))
    shown = await state(world, one, taken["id"], "accepted")
    assert shown["category"] == "receipts"

    async def said() -> bool:
        return (await world.said())["email.sent"] == 1

    await world.until(said, "email.sent", one.tail)
