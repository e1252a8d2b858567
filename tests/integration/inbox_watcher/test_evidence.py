"""Mails whose outcome is unknown (RFC 1047), settled by the Sent folder of real mailboxes."""

import asyncio
import itertools
import smtplib
from pathlib import Path
from typing import Any

from postfleet_sandbox import Sandbox
from tests.support.inboxwatcher import Platform, new_sender
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

_numbers = itertools.count(1)
_SOON: dict[str, Any] = {"evidence_after_seconds": 1.0}
_RULINGS = ("delivery.confirmed", "delivery.refuted")


def keep_copy(mail_pair: MailPair, sender: str, *ids: str) -> None:
    """As the server would, had it accepted these mails."""
    with mail_pair.imap(f"{sender}@one.test", "secret") as client:
        for id_ in ids:
            copy = f"From: {sender}@one.test\r\nMessage-ID: <{id_}>\r\n\r\nHello\r\n".encode()
            client.append("Sent", "", "", copy)


async def accepted(platform: Platform, sender: str, count: int = 3) -> list[str]:
    """Mails that went out for certain; their Message-IDs."""
    ids = [f"n{n}.{sender}@one.test" for n in range(count)]
    for id_ in ids:
        await platform.sent(sender, f"{id_}.lead@lead.test", f"<{id_}>")
    return ids


async def test_dovecots_sent_folder_confirms_what_arrived_and_refutes_what_did_not(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix, **_SOON, idle_seconds=60):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        keep_copy(mail_pair, sender, *await accepted(platform, sender), f"gone.{sender}@one.test")
        gone = await platform.in_doubt(sender, "a@lead.test", f"<gone.{sender}@one.test>")
        lost = await platform.in_doubt(sender, "b@lead.test", f"<lost.{sender}@one.test>", 3)
        events = await platform.wait_events(sender, *_RULINGS, count=2, timeout=20)
        await platform.in_doubt(sender, "a@lead.test", f"<gone.{sender}@one.test>")  # said again
        await asyncio.sleep(2.5)
        told = [(e["type"], e["delivery_id"], e["matched_by"]) for e in events]
        assert sorted(told) == [
            ("delivery.confirmed", gone, "sent_folder"),
            ("delivery.refuted", lost, "sent_folder"),
        ]
        assert len(await platform.events_of(sender, *_RULINGS)) == 2
        await platform.sent(sender, "c@lead.test", f"<later.{sender}@one.test>")
        answer = (
            f"From: c@lead.test\r\nMessage-ID: <r.{sender}@lead.test>\r\n"
            f"In-Reply-To: <later.{sender}@one.test>\r\n\r\nYes.\r\n"
        )
        mail_pair.deliver(f"{sender}@one.test", answer.encode(), "c@lead.test")
        assert await platform.wait_events(sender, "reply.detected", timeout=5)


async def test_where_no_copies_are_kept_nothing_is_refuted_and_a_late_copy_still_confirms(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix, **_SOON):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await accepted(platform, sender)
        delivery = await platform.in_doubt(sender, "a@lead.test", f"<late.{sender}@one.test>")
        await asyncio.sleep(5)  # looked for twice
        assert await platform.events_of(sender, *_RULINGS) == []
    keep_copy(mail_pair, sender, f"late.{sender}@one.test")
    async with platform.watcher(prefix, **_SOON):  # the question outlived the process
        (event,) = await platform.wait_events(sender, *_RULINGS, timeout=20)
        assert (event["type"], event["delivery_id"]) == ("delivery.confirmed", delivery)


async def test_a_reply_to_a_mail_of_unknown_outcome_is_matched(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    async with platform.watcher(prefix):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        delivery = await platform.in_doubt(sender, "a@lead.test", f"<d.{sender}@one.test>")
        answer = (
            f"From: a@lead.test\r\nMessage-ID: <r.{sender}@lead.test>\r\n"
            f"In-Reply-To: <d.{sender}@one.test>\r\n\r\nYes.\r\n"
        )
        mail_pair.deliver(f"{sender}@one.test", answer.encode(), "a@lead.test")
        (event,) = await platform.wait_events(sender, "reply.detected")
        assert event["delivery_id"] == delivery


def send(box: Sandbox, address: str, id_: str) -> None:
    with smtplib.SMTP("localhost", box.smtp_port, timeout=10) as client:
        client.starttls(context=box.client_context)
        client.login(address, "secret")
        mail = f"From: {address}\r\nMessage-ID: <{id_}>\r\n\r\nHello\r\n"
        client.sendmail(address, ["accept@people.test"], mail)


async def test_the_mail_worlds_sent_folder_settles_doubts(
    own_nats: NatsServer, mongo_server: MongoServer, prefix: str, tmp_path: Path
) -> None:
    async with Sandbox(data=tmp_path / "box") as box:
        platform = Platform(own_nats.url, mongo_server.url, str(box.ca_file))
        await platform.start()
        sender = f"boxed{next(_numbers)}"
        address = f"{sender}@one.test"
        box.add_account(address, "secret", saves_sent=True)
        async with platform.watcher(prefix, **_SOON):
            await platform.register(sender, box.imap_port, "secret")
            for id_ in [*await accepted(platform, sender), f"gone.{sender}@one.test"]:
                await asyncio.to_thread(send, box, address, id_)
            gone = await platform.in_doubt(sender, "a@lead.test", f"<gone.{sender}@one.test>")
            lost = await platform.in_doubt(sender, "b@lead.test", f"<lost.{sender}@one.test>")
            events = await platform.wait_events(sender, *_RULINGS, count=2, timeout=20)
        told = {e["delivery_id"]: e["type"] for e in events}
        assert told == {gone: "delivery.confirmed", lost: "delivery.refuted"}
        await platform.stop()
