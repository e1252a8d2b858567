"""Folders besides INBOX and Junk, on a real Dovecot: Sent, and those that an operator names."""

import asyncio
import itertools

import pytest

from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.support.inboxwatcher import Platform, eventually, new_sender
from tests.support.mailpair import MailPair

_numbers = itertools.count(1)


def mail(sender: str, id_: str, fields: str = "") -> bytes:
    return (
        f"From: {sender}@one.test\r\nTo: victim@lead.test, other@lead.test\r\nSubject: Cheap\r\n"
        f"Message-ID: <{id_}>\r\n{fields}\r\nHello\r\n"
    ).encode()


def put(mail_pair: MailPair, sender: str, folder: str, *mails: bytes) -> None:
    with mail_pair.imap(f"{sender}@one.test", "secret") as client:
        client.create(folder)
        for one in mails:
            client.append(folder, "", "", one)


async def watched(platform: Platform, mail_pair: MailPair, sender: str) -> None:
    """Until the mailbox and its folders have been looked at once, which a reply shows."""
    delivery = await platform.sent(sender, "first@lead.test", f"<first.{sender}@one.test>")
    answer = (
        f"From: first@lead.test\r\nSubject: Re: Hello\r\nMessage-ID: <re.{sender}@lead.test>\r\n"
        f"In-Reply-To: <first.{sender}@one.test>\r\n\r\nYes.\r\n"
    )
    mail_pair.deliver(f"{sender}@one.test", answer.encode(), "first@lead.test")
    (event,) = await platform.wait_events(sender, "reply.detected")
    assert event["delivery_id"] == delivery
    await asyncio.sleep(1.2)  # two more looks, at Sent too


@pytest.mark.seed("S253")
async def test_a_mail_in_sent_that_the_platform_did_not_send_is_told_once_and_ours_are_not(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    token = TokenKeys(KeyRing.parse(platform.master_key)).make(Purpose.DELIVERY, "ab" * 16)
    put(mail_pair, sender, "Sent", mail(sender, "from-before@one.test"))
    async with platform.watcher(prefix, idle_seconds=0.5, unexpected_after_seconds=3) as api:
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await watched(platform, mail_pair, sender)
        await platform.sent(sender, "ann@lead.test", f"<known.{sender}@one.test>")
        put(
            mail_pair,
            sender,
            "Sent",
            mail(sender, f"known.{sender}@one.test"),
            mail(sender, f"late.{sender}@one.test"),
            mail(sender, "rewritten@provider.test", f"X-Postfleet-Delivery: {token}\r\n"),
            mail(sender, "forged@thief.test", f"X-Postfleet-Delivery: {'A' * 44}\r\n"),
            mail(sender, "by-hand@one.test", "In-Reply-To: <their-mail@lead.test>\r\n"),
        )
        await platform.sent(sender, "bob@lead.test", f"<late.{sender}@one.test>")
        await platform.wait_events(sender, "watcher.unexpected", count=2)
        put(mail_pair, sender, "Sent", mail(sender, "forged@thief.test"))  # the same once more
        await asyncio.sleep(1.5)
        events = await platform.events_of(sender, "watcher.unexpected")
        told = {event["message_id"]: event for event in events}
        assert set(told) == {"forged@thief.test", "by-hand@one.test"}
        assert len(events) == 2
        assert told["forged@thief.test"]["recipients"] == ["victim@lead.test", "other@lead.test"]
        assert told["by-hand@one.test"]["in_reply_to"] == "their-mail@lead.test"
        page = (await api.get(f"/api/public/v1/inbound?sender={sender}&kind=sent")).json()
        states = sorted(item["state"] for item in page["items"])
        assert states.count("unexpected") == 2
        assert await platform.events_of(sender, "reply.detected"), "and replies go on"


@pytest.mark.seed("S253")
async def test_sent_is_left_alone_where_the_operator_says_so(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    options = {"idle_seconds": 0.5, "unexpected_after_seconds": 0.5, "watch_sent": False}
    async with platform.watcher(prefix, **options):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        await watched(platform, mail_pair, sender)
        put(mail_pair, sender, "Sent", mail(sender, "forged@thief.test"))
        await asyncio.sleep(2.5)
        assert await platform.events_of(sender, "watcher.unexpected") == []


@pytest.mark.seed("S181")
async def test_a_reply_that_a_rule_sorted_away_is_found_in_the_folders_that_the_operator_names(
    platform: Platform, mail_pair: MailPair, prefix: str
) -> None:
    sender = new_sender(mail_pair)
    options = {"idle_seconds": 0.5, "more_folders": ("leads*", "K&ouml;ln", "Köln")}
    for folder in ("Leads", "K&APY-ln", "Private"):
        put(mail_pair, sender, folder)
    async with platform.watcher(prefix, **options):
        await platform.register(sender, mail_pair.imaps_port, "secret")
        wanted = []
        for number, folder in enumerate(("Leads", "K&APY-ln", "Private")):
            id_ = f"m{number}.{sender}@one.test"
            wanted.append(await platform.sent(sender, f"lead{number}@lead.test", f"<{id_}>"))
            answer = (
                f"From: lead{number}@lead.test\r\nSubject: Re: Hello\r\n"
                f"Message-ID: <r{number}.{sender}@lead.test>\r\nIn-Reply-To: <{id_}>\r\n\r\nYes.\r\n"
            )
            put(mail_pair, sender, folder, answer.encode())

        async def told() -> set[str]:
            events = await platform.events_of(sender, "reply.detected")
            return {event["delivery_id"] for event in events}

        await eventually(told, lambda found: found == set(wanted[:2]), 15)
        await asyncio.sleep(1.2)
        assert await told() == set(wanted[:2]), "a folder that nobody named is not read"
