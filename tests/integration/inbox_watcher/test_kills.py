"""kill -9 of the watcher on a real Dovecot: every reply and bounce is told, and none twice.

A few kills in `make test`; `KILLS=100 pytest tests/integration/inbox_watcher/test_kills.py` before a
release. Each life is killed at another moment of its work on the mails that it was given.
"""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from postfleet.instants import now_ms
from tests.support.inboxwatcher import Platform, eventually, new_sender, replica
from tests.support.mailpair import MailPair

_KILLS = int(os.environ.get("KILLS", "4"))
_LONGEST_WORK = 1.5  # seconds: Dovecot's half a second, the reading, the telling
_TOLD = ("reply.detected", "bounce.hard")


@pytest.mark.timeout(120 + 30 * _KILLS)
async def test_kill_9_at_any_moment_loses_no_effect_and_repeats_none(
    platform: Platform, mail_pair: MailPair, prefix: str, tmp_path: Path
) -> None:
    sender, chance = new_sender(mail_pair), random.Random(7)
    await platform.register(sender, mail_pair.imaps_port, "secret")
    deliveries: list[str] = []
    for life in range(_KILLS):
        process = replica(platform, prefix, tmp_path, life, lease_seconds=1)
        try:
            await _looked_at_since(now_ms(), platform, prefix, sender)
            for _ in range(3):
                deliveries.append(await _answered(platform, mail_pair, sender, len(deliveries)))
            await asyncio.sleep(chance.uniform(0, _LONGEST_WORK))
        finally:
            process.kill()
    async with platform.watcher(prefix, lease_seconds=1):
        # email.sent of a batch that died with its reader comes again after ack_wait
        count = len(deliveries)
        await platform.wait_events(sender, *_TOLD, count=count, timeout=120)
        await asyncio.sleep(1)  # what would come twice comes now
        events = await platform.events_of(sender, *_TOLD)
    assert sorted(event["delivery_id"] for event in events) == sorted(deliveries)
    assert {event["type"] for event in events} == set(_TOLD)


async def _looked_at_since(began: int, platform: Platform, prefix: str, sender: str) -> None:
    """Wait until the mailbox is watched by a replica that started at `began` (epoch ms)."""
    with MongoClient[dict[str, Any]](platform.mongo_url) as client:
        mailboxes = client[f"{prefix}inbox_watcher"]["mailboxes"]

        async def looked_at() -> int:
            row = await asyncio.to_thread(mailboxes.find_one, {"_id": sender})
            return int(row["looked_at"]) if row else 0

        await eventually(looked_at, lambda at: at > began, 60)


async def _answered(platform: Platform, mail_pair: MailPair, sender: str, number: int) -> str:
    """A mail is sent and answered, every third one by a bounce; returns its delivery id."""
    lead, message_id = f"lead{number}@lead.test", f"m{number}.{sender}@one.test"
    delivery_id = await platform.sent(sender, lead, f"<{message_id}>")
    raw, reverse_path = _reply(lead, message_id), lead
    if number % 3 == 2:
        raw, reverse_path = _bounce(lead, message_id), ""
    await asyncio.to_thread(mail_pair.deliver, f"{sender}@one.test", raw, reverse_path)
    return delivery_id


def _reply(lead: str, message_id: str) -> bytes:
    return (
        f"From: {lead}\r\nSubject: Re: Hello\r\nMessage-ID: <r.{message_id}>\r\n"
        f"In-Reply-To: <{message_id}>\r\n\r\nYes.\r\n"
    ).encode()


def _bounce(lead: str, message_id: str) -> bytes:
    return (
        "From: MAILER-DAEMON@lead.test\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <b.{message_id}>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\n\r\nNo such user.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; lead.test\r\n\r\nFinal-Recipient: rfc822; {lead}\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: <{message_id}>\r\nTo: {lead}\r\n--b--\r\n"
    ).encode()
