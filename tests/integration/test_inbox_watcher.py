"""The inbox watcher against a real Dovecot, a real NATS and the database."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.inboxwatcher import Platform, eventually
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

_REPORTS = ("reply.detected", "reply.automatic", "bounce.hard", "bounce.soft", "delivery.delayed")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_nats() -> Iterator[NatsServer]:
    if reason := NatsServer.missing():
        pytest.skip(reason)
    with NatsServer() as server:
        yield server


@pytest.fixture
async def platform(
    own_nats: NatsServer, mongo_server: MongoServer, mail_pair: MailPair
) -> AsyncIterator[Platform]:
    platform = Platform(own_nats.url, mongo_server.url, str(mail_pair.ca_file))
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
def prefix(mongo_server: MongoServer) -> str:
    return mongo_server.database(f"iw{secrets.token_hex(3)}_")


def new_sender(mail_pair: MailPair, password: str = "secret") -> str:
    name = f"watched{next(_numbers)}"
    mail_pair.add_mailbox(f"{name}@one.test", password)
    mail_pair.wait_login(f"{name}@one.test", password)
    return name


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


@pytest.mark.seed("S181", "S183", "S186")
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
        assert whole["text"] == "Yes, please." and whole["raw"]


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
