"""The inbox watcher against a real Dovecot, a real NATS and the database."""

import asyncio
import itertools
import secrets
import time
from typing import Any

import pytest
from pymongo import MongoClient

from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.support.inboxwatcher import Platform, eventually, new_sender
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer

_numbers = itertools.count(1)


def reply(to: str, lead: str, answers: str, text: str = "Yes, please.", *, id_: str = "") -> bytes:
    id_ = id_ or secrets.token_hex(8)
    return (
        f"From: A Lead <{lead}>\r\nTo: {to}@one.test\r\nSubject: Re: Hello\r\n"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id_}@lead.test>\r\n"
        f"In-Reply-To: <{answers}>\r\n\r\n{text}\r\n\r\nOn Fri, 20 Nov 2026, {to} wrote:\r\n"
        "> Hello\r\n"
    ).encode()


def dsn(
    to: str, recipient: str, about: str, action: str = "failed", status: str = "5.1.1"
) -> bytes:
    return (
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.lead.test (Mail Delivery System)\r\n"
        f"To: {to}@one.test\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <{secrets.token_hex(8)}@mx.lead.test>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\n\r\nI'm sorry.\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.lead.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: <{about}>\r\nSubject: Hello\r\n\r\n--b--\r\n"
    ).encode()


async def watched(platform: Platform, mail_pair: MailPair, sender: str) -> None:
    """Wait until the sender's mailbox is being watched, which a first reply shows."""
    probe = f"probe.{secrets.token_hex(4)}@one.test"
    delivery = await platform.sent(sender, "probe@lead.test", probe)
    mail_pair.deliver(
        f"{sender}@one.test", dsn(sender, "probe@lead.test", probe, "delayed", "4.4.1")
    )

    async def told() -> list[str]:
        events = await platform.events_of(sender, "delivery.delayed")
        return [event["delivery_id"] for event in events]

    await eventually(told, lambda deliveries: delivery in deliveries, 15)
    await asyncio.sleep(0.2)


@pytest.mark.seed("S181", "S183", "S186", "C28")
async def test_a_reply_in_a_real_mailbox_becomes_an_event_within_two_seconds(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix, idle_seconds=60) as client:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        delivery = await platform.sent(sender, "ann@lead.test", f"<m1.{sender}@one.test>")
        await watched(platform, mail_pair, sender)
        began = time.monotonic()
        answer = reply(sender, "ann@lead.test", f"m1.{sender}@one.test")
        mail_pair.deliver(f"{sender}@one.test", answer, "ann@lead.test")
        (event,) = await platform.wait_events(sender, "reply.detected")
        took = time.monotonic() - began
        assert event["delivery_id"] == delivery
        assert event["text"] == "Yes, please."
        assert event["matched_by"] == "in_reply_to"
        assert event["subject"] == "Re: Hello"
        assert took < 2, f"{took:.2f} s"
        page = (await client.get(f"/api/public/v1/inbound?sender={sender}&kind=reply")).json()
        assert [item["delivery_id"] for item in page["items"]] == [delivery]
        whole = (await client.get(f"/api/public/v1/inbound/{event['inbound_id']}")).json()
        assert whole["text"] == "Yes, please."
        assert whole["raw"]


@pytest.mark.seed("S187", "S188")
async def test_a_dsn_tells_hard_or_soft_once_for_a_delivery(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        hard = await platform.sent(sender, "gone@lead.test", f"<h.{sender}@one.test>")
        soft = await platform.sent(sender, "full@lead.test", f"<s.{sender}@one.test>")
        box = f"{sender}@one.test"
        for _ in range(2):
            mail_pair.deliver(box, dsn(sender, "gone@lead.test", f"h.{sender}@one.test"))
        full = dsn(sender, "full@lead.test", f"s.{sender}@one.test", status="5.2.2")
        mail_pair.deliver(box, full.replace(b"5.1.1 User unknown", b"5.2.2 Mailbox full"))
        await watched(platform, mail_pair, sender)
        events = await platform.events_of(sender, "bounce.hard", "bounce.soft")
    told = sorted((e["type"], e["delivery_id"], e["category"], e["observed"]) for e in events)
    assert told == sorted(
        [
            ("bounce.hard", hard, "unknown_user", "dsn"),
            ("bounce.soft", soft, "mailbox_full", "dsn"),
        ]
    )


async def test_a_new_instance_on_the_same_database_neither_loses_nor_repeats(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    box, expected = f"{sender}@one.test", []
    await platform.register(sender, mail_pair.imaps_port, "secret")
    for life in range(3):
        for number in range(3):
            id_ = f"m{life}{number}.{sender}@one.test"
            lead = f"lead{life}{number}@lead.test"
            expected.append(await platform.sent(sender, lead, f"<{id_}>"))
            mail_pair.deliver(box, reply(sender, lead, id_), lead)
        async with platform.watcher(prefix):
            await platform.wait_events(sender, "reply.detected", count=len(expected))
    events = await platform.events_of(sender, "reply.detected")
    assert sorted(e["delivery_id"] for e in events) == sorted(expected)


async def test_a_crash_between_the_effects_and_the_cursor_repeats_nothing(
    platform: Platform, mail_pair: MailPair, prefix: str, mongo_server: MongoServer
) -> None:
    sender = new_sender(mail_pair)
    await platform.register(sender, mail_pair.imaps_port, "secret")
    await platform.sent(sender, "ann@lead.test", f"<m1.{sender}@one.test>")
    answer = reply(sender, "ann@lead.test", f"m1.{sender}@one.test")
    mail_pair.deliver(f"{sender}@one.test", answer, "ann@lead.test")
    async with platform.watcher(prefix):
        await platform.wait_events(sender, "reply.detected")
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        mailboxes = client[f"{prefix}inbox_watcher"]["mailboxes"]
        mailboxes.update_one({"_id": sender}, {"$set": {"cursors": {}}})
    async with platform.watcher(prefix) as api:
        await watched(platform, mail_pair, sender)
        page = (await api.get(f"/api/public/v1/inbound?sender={sender}&kind=reply")).json()
    assert len(page["items"]) == 1
    assert len(await platform.events_of(sender, "reply.detected")) == 1


async def test_moved_mail_and_a_new_uidvalidity_repeat_nothing_and_junk_is_read(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    box = f"{sender}@one.test"
    async with platform.watcher(prefix) as api:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await platform.sent(sender, "ann@lead.test", f"<m1.{sender}@one.test>")
        later = await platform.sent(sender, "bob@lead.test", f"<m2.{sender}@one.test>")
        answer = reply(sender, "ann@lead.test", f"m1.{sender}@one.test")
        mail_pair.deliver(box, answer, "ann@lead.test")
        await platform.wait_events(sender, "reply.detected")
        with mail_pair.imap(box, "secret") as client:
            client.select("INBOX")
            client.uid("MOVE", "1:*", "Junk")
            client.append("Junk", "", "", reply(sender, "bob@lead.test", f"m2.{sender}@one.test"))
        events = await platform.wait_events(sender, "reply.detected", count=2)
        assert events[1]["delivery_id"] == later
        with mail_pair.imap(box, "secret") as client:  # the same mail in a folder made again
            client.delete("Junk")
            client.create("Junk")
            client.append("Junk", "", "", answer)
        await watched(platform, mail_pair, sender)
        await asyncio.sleep(1.5)
        page = (await api.get(f"/api/public/v1/inbound?sender={sender}&kind=reply")).json()
    assert len(page["items"]) == 2, "one row for a mail, wherever it lies"
    assert len(await platform.events_of(sender, "reply.detected")) == 2


async def test_a_reply_that_overtakes_its_email_sent_is_matched_when_that_arrives(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix) as client:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        answer = reply(sender, "ann@lead.test", f"m1.{sender}@one.test")
        mail_pair.deliver(f"{sender}@one.test", answer, "ann@lead.test")
        await watched(platform, mail_pair, sender)
        path = f"/api/public/v1/inbound?sender={sender}&kind=reply"
        (waiting,) = (await client.get(path)).json()["items"]
        assert waiting["state"] == "waiting"
        delivery = await platform.sent(sender, "ann@lead.test", f"<m1.{sender}@one.test>")
        (event,) = await platform.wait_events(sender, "reply.detected")
        assert event["delivery_id"] == delivery
        (matched,) = (await client.get(path)).json()["items"]
        assert matched["state"] == "matched"


async def test_mail_between_senders_of_the_fleet_is_nobodys_reply(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender, colleague = new_sender(mail_pair), new_sender(mail_pair)
    async with platform.watcher(prefix) as client:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await platform.register(colleague, mail_pair.imaps_port, "secret")
        own = f"{colleague}@one.test"
        await platform.sent(sender, own, f"<m1.{sender}@one.test>")
        mail_pair.deliver(f"{sender}@one.test", reply(sender, own, f"m1.{sender}@one.test"), own)
        await watched(platform, mail_pair, sender)
        page = (await client.get(f"/api/public/v1/inbound?sender={sender}&kind=reply")).json()
    assert [item["state"] for item in page["items"]] == ["own"]
    assert await platform.events_of(sender, "reply.detected") == []


async def test_a_broken_promise_is_told_and_its_end_too(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix, stale_seconds=1.5, lease_seconds=3, idle_seconds=0.5):
        await platform.register(sender, mail_pair.imaps_port, "a wrong password")
        (stale,) = await platform.wait_events(sender, "watcher.stale")
        assert "LoginRefused" in stale["reason"]
        platform.passwords[sender] = "secret"
        assert len(await platform.wait_events(sender, "watcher.recovered")) == 1
    assert len(await platform.events_of(sender, "watcher.stale")) == 1


async def test_a_deleted_sender_is_watched_no_more(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix, lease_seconds=1):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await watched(platform, mail_pair, sender)
        await platform.update(sender, mail_pair.imaps_port, revision=2, deleted=True)
        await asyncio.sleep(1.5)
        await platform.sent(sender, "ann@lead.test", f"<m1.{sender}@one.test>")
        answer = reply(sender, "ann@lead.test", f"m1.{sender}@one.test")
        mail_pair.deliver(f"{sender}@one.test", answer, "ann@lead.test")
        await asyncio.sleep(2)
    assert await platform.events_of(sender, "reply.detected") == []


async def test_the_api_answers_404_and_422_and_pages(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix) as client:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        for number in range(3):
            lead = f"l{number}@lead.test"
            await platform.sent(sender, lead, f"<m{number}.{sender}@one.test>")
            answer = reply(sender, lead, f"m{number}.{sender}@one.test")
            mail_pair.deliver(f"{sender}@one.test", answer, lead)
        await platform.wait_events(sender, "reply.detected", count=3)
        path = f"/api/public/v1/inbound?sender={sender}&limit=2"
        first = (await client.get(path)).json()
        second = (await client.get(f"{path}&cursor={first['next_cursor']}")).json()
        authors = [item["from"] for item in first["items"] + second["items"]]
        assert sorted(authors) == ["l0@lead.test", "l1@lead.test", "l2@lead.test"]
        assert second["next_cursor"] is None
        assert (await client.get("/api/public/v1/inbound/nothing")).status_code == 404
        assert (await client.get("/api/public/v1/inbound?kind=letter")).status_code == 422
        assert (
            await client.get("/api/public/v1/inbound", headers={"X-API-Key": "x"})
        ).status_code in (
            401,
            503,
        )


async def test_a_mail_is_explained_without_being_kept(platform: Platform, prefix: str) -> None:
    async with platform.watcher(prefix) as client:
        delivery = await platform.sent("s-explained", "ann@lead.test", "<m1.explained@one.test>")
        mail = reply("s-explained", "ann@lead.test", "m1.explained@one.test")

        async def explained() -> dict[str, Any]:
            found = await client.post("/api/public/v1/inbound/explain", content=mail)
            document: dict[str, Any] = found.json()
            return document

        found = await eventually(explained, lambda document: bool(document["match"]))
        assert found["match"] == {
            "delivery_id": delivery,
            "recipient": "ann@lead.test",
            "matched_by": "in_reply_to",
            "confidence": 1.0,
        }
        assert (found["kind"], found["reply_text"]) == ("reply", "Yes, please.")
        page = (await client.get("/api/public/v1/inbound?sender=s-explained")).json()
        assert page["items"] == []


async def test_an_answer_and_a_report_that_lost_our_message_id_are_matched_by_our_tokens(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    """Some providers write a Message-ID of their own; and somebody else may answer."""
    sender, keys = new_sender(mail_pair), TokenKeys(KeyRing.parse(platform.master_key))
    async with platform.watcher(prefix, idle_seconds=60):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        first = await platform.sent(sender, "ann@lead.test", f"<t1.{sender}@one.test>")
        second = await platform.sent(sender, "bob@lead.test", f"<t2.{sender}@one.test>")
        await watched(platform, mail_pair, sender)
        answer = reply(sender, "boss@elsewhere.test", "their-own-id@provider.test")
        to = f"{sender}+{keys.make(Purpose.REPLY, first)}@one.test"
        mail_pair.deliver(
            f"{sender}@one.test",
            answer.replace(f"To: {sender}@one.test".encode(), f"To: {to}".encode()),
            "boss@elsewhere.test",
        )
        (event,) = await platform.wait_events(sender, "reply.detected")
        assert (event["delivery_id"], event["matched_by"]) == (first, "reply_token")
        assert event["confidence"] == 1.0
        report = dsn(sender, "other-address@lead.test", "changed@provider.test")
        own = f"X-Postfleet-Delivery: {keys.make(Purpose.DELIVERY, second)}\r\n"
        report = report.replace(b"Subject: Hello\r\n", b"Subject: Hello\r\n" + own.encode())
        mail_pair.deliver(f"{sender}@one.test", report)
        (event,) = await platform.wait_events(sender, "bounce.hard")
        assert (event["delivery_id"], event["matched_by"]) == (second, "returned_token")
