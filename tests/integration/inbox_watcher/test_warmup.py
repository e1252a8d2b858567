"""Warm-up mail in a real Dovecot: opened, brought back from Junk, told once, and never a reply."""

import asyncio
import secrets

import pytest

from postfleet.cloudevents import derived_id
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.support.inboxwatcher import Platform, eventually
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer

_PASSWORD = "secret"


@pytest.fixture
async def names(platform: Platform, mail_pair: MailPair) -> tuple[str, str]:
    """The ids of a watched sender, and of the one that writes to it."""
    own, other = (f"{name}{secrets.token_hex(3)}" for name in ("own", "other"))
    mail_pair.add_mailbox(f"{own}@one.test", _PASSWORD)
    mail_pair.wait_login(f"{own}@one.test", _PASSWORD)
    await platform.register(
        other, mail_pair.imaps_port, _PASSWORD, email_address=f"{other}@two.test", imap=None
    )
    await platform.register(own, mail_pair.imaps_port, _PASSWORD)
    return own, other


def letter(author: str, to: str, token: str, subject: str = "Lunch?", more: str = "") -> bytes:
    return (
        f"From: Other <{author}>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{secrets.token_hex(8)}@two.test>\r\n{more}"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nX-Postfleet-Warmup: {token}\r\n\r\nHi!\r\n"
    ).encode()


def flags(mail_pair: MailPair, own: str, folder: str) -> list[str]:
    """Of each mail in the folder: its subject and its flags."""
    with mail_pair.imap(f"{own}@one.test", _PASSWORD) as client:
        client.select(folder, readonly=True)
        _, found = client.search(None, "ALL")
        shown = []
        for number in found[0].split():
            _, parts = client.fetch(number, "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            shown.append(b" ".join(p if isinstance(p, bytes) else b" ".join(p) for p in parts))
        return [line.decode() for line in shown]


@pytest.mark.seed("S31")
async def test_warm_up_mail_is_opened_rescued_and_told_once(
    platform: Platform, mail_pair: MailPair, mongo_server: MongoServer, names: tuple[str, str]
) -> None:
    own, other = names
    keys = TokenKeys(KeyRing.parse(platform.master_key))
    first, second = (derived_id("delivery", own, n) for n in (1, 2))
    box, author = f"{own}@one.test", f"{other}@two.test"
    wanted = keys.make(Purpose.WARMUP, first, "01")
    answering = "In-Reply-To: <m@one.test>\r\n"
    with mail_pair.imap(box, _PASSWORD) as client:
        mail = letter(author, box, wanted)
        client.append("Junk", "($Junk)", "", mail)
        client.append("Junk", "", "", letter(author, box, "A" * 46, "Forged"))
    mail_pair.deliver(
        box, letter(author, box, keys.make(Purpose.WARMUP, second, "00"), "Re: Hello", answering)
    )
    async with platform.watcher(mongo_server.database(f"iw{secrets.token_hex(3)}_")):
        told = await platform.wait_events(other, "warmup.received", count=2)

        async def rescued() -> list[str]:
            return await asyncio.to_thread(flags, mail_pair, own, "INBOX")

        inbox = await eventually(rescued, lambda found: len(found) == 2)
        assert all("\\Seen" in line for line in inbox)
        (lunch,) = [line for line in inbox if "Lunch" in line]
        assert "$NotJunk" in lunch
        assert "$Junk" not in lunch
        await asyncio.sleep(1.5)  # a look more: the rescued mail is seen in INBOX, and is known
        told = await platform.events_of(other, "warmup.received")
        replies = await platform.events_of(own, "reply.detected", "reply.automatic")
    assert replies == []
    by_delivery = {event["delivery_id"]: event for event in told}
    assert len(told) == 2
    assert by_delivery[first]["placement"] == "junk"
    assert by_delivery[first]["answer_wanted"] is True
    assert by_delivery[first]["partner_id"] == own
    assert (by_delivery[first]["mail_subject"], by_delivery[first]["recipient"]) == ("Lunch?", box)
    assert (by_delivery[second]["placement"], by_delivery[second]["answer_wanted"]) == (
        "inbox",
        False,
    )
    (forged,) = flags(mail_pair, own, "Junk")
    assert "Forged" in forged
    assert "\\Seen" not in forged


async def test_a_token_of_ours_in_a_strangers_mail_opens_nothing(
    platform: Platform, mail_pair: MailPair, mongo_server: MongoServer, names: tuple[str, str]
) -> None:
    own, other = names
    keys = TokenKeys(KeyRing.parse(platform.master_key))
    box = f"{own}@one.test"
    token = keys.make(Purpose.WARMUP, derived_id("delivery", own), "01")
    with mail_pair.imap(box, _PASSWORD) as client:
        client.append("Junk", "", "", letter("mallory@stranger.test", box, token, "Stolen"))
    genuine = keys.make(Purpose.WARMUP, derived_id("delivery", own, 2), "00")
    async with platform.watcher(mongo_server.database(f"iw{secrets.token_hex(3)}_")):
        mail_pair.deliver(box, letter(f"{other}@two.test", box, genuine))
        (event,) = await platform.wait_events(other, "warmup.received")
        await asyncio.sleep(1.5)
        assert event["placement"] == "inbox"
        told = await platform.events("warmup.received")
        assert [e["delivery_id"] for e in told if e["partner_id"] == own] == [event["delivery_id"]]
        (stolen,) = flags(mail_pair, own, "Junk")
        assert "\\Seen" not in stolen
