"""Mail that is handed in over SMTP, from a client's 250 to the recipient's mailbox."""

import asyncio
import email
import email.policy
import smtplib
from typing import Any

import pytest

from tests.support.dispatcher import SENDER, DispatcherWorld
from tests.support.relay import LOGIN, PASSWORD, Relay

SWAKS = "swaks"


def letter(number: int = 1, body: str = "Hi") -> str:
    return (
        f"From: Ann <{SENDER}>\r\nTo: People <people@people.test>\r\nSubject: Number {number}\r\n"
        f"Message-ID: <{number}@client.test>\r\n\r\n{body}\r\n"
    )


async def swaks(port: int, *options: str) -> tuple[int, str]:
    """Exit code and conversation."""
    process = await asyncio.create_subprocess_exec(
        *(SWAKS, "--server", f"127.0.0.1:{port}", "--helo", "client.test"),
        *("--from", SENDER, "--header", f"From: {SENDER}", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def accepted(world: DispatcherWorld, *people: str) -> None:
    """Wait until the mail world has one mail for each of them, and nothing else."""

    async def all_there() -> bool:
        return len(world.accepted()) >= len(people)

    await world.until(all_there, f"mail for {people}", lambda: world.dispatchers[-1].tail())
    assert world.accepted() == dict.fromkeys(people, 1)


async def row_of(world: DispatcherWorld, address: str) -> dict[str, Any]:
    """The row follows the mail by a moment."""

    async def found() -> Any:
        return await world.database.deliveries.find_one({"recipient": address})

    row: dict[str, Any] = await world.until(found, f"a row for {address}")
    return row


@pytest.mark.seed("S272", "S278", "S283", "S284")
async def test_a_mail_program_hands_in_and_each_recipient_gets_it_once(
    world: DispatcherWorld,
) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start()
    people = ("accept+1@people.test", "accept+2@people.test")
    code, said = await swaks(
        relay.submission,
        *("--to", ",".join(people), "--tls", "--tls-ca-path", relay.certificate),
        *("--auth", "LOGIN", "--auth-user", LOGIN, "--auth-password", PASSWORD),
        *("--header", "Subject: Hand in", "--body", "one\\n.\\n..two\\n", "--pipeline"),
    )
    assert code == 0, said
    await accepted(world, *people)
    record = next(m for m in world.box.records("accepted") if m.recipient == people[1])
    mail = email.message_from_bytes(world.box.mail(record), policy=email.policy.default)
    assert (mail["Subject"], mail["To"]) == ("Hand in", ", ".join(people))
    assert mail.get_content().replace("\r\n", "\n").startswith("one\n.\n..two\n")
    assert "with ESMTPSA id" in mail["Received"]
    row = await row_of(world, people[1])
    assert row["message_id"] == mail["Message-ID"]
    assert (row["campaign_id"], row["sender_id"], row["category"]) == ("", "s1", "transactional")
    found = await relay.one.api("GET", "/deliveries", params={"recipient": people[1]})
    assert [item["id"] for item in found["items"]] == [row["_id"]]
    wrong = await swaks(
        relay.submission,
        *("--to", people[0], "--tls", "--auth", "PLAIN", "--auth-user", LOGIN),
        *("--auth-password", "wrong"),
    )
    assert "535 5.7.8" in wrong[1]


@pytest.mark.seed("S271", "S281", "S282")
async def test_networks_hand_in_without_a_log_in_with_and_without_tls(
    world: DispatcherWorld,
) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start()
    for number, more in enumerate(((), ("--tls",))):
        to = f"accept+{number}@people.test"
        code, said = await swaks(relay.plain, "--to", to, *more)
        assert code == 0, said
    await accepted(world, "accept+0@people.test", "accept+1@people.test")
    code, said = await swaks(relay.plain, "--to", "a@people.test", "--from", "x@fleet.test")
    assert "550 5.7.1" in said


@pytest.mark.seed("S275")
async def test_limits_and_suppression_hold_for_what_is_handed_in(world: DispatcherWorld) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start()
    await world.say_sender(access_methods=("smtp",), effective_limit=2, daily_limit=2)
    await world.until(world._sender_known, "the limit is known")
    await relay.one.api("POST", "/suppressions", json={"entry": "accept+0@people.test"})
    await asyncio.to_thread(_send, relay.plain, [f"accept+{n}@people.test" for n in range(5)], 1)
    rows: dict[str, Any] = {}

    async def settled() -> bool:
        rows.update(await world.rows(""))
        return len(rows) == 5 and {r["state"] for r in rows.values()} <= {
            "accepted", "skipped", "postponed",
        }  # fmt: skip

    await world.until(settled, "all five", lambda: str(rows))
    states = sorted(row["state"] for row in rows.values())
    assert states == ["accepted", "accepted", "postponed", "postponed", "skipped"]
    assert rows["accept+0@people.test"]["reason"] == "suppressed: manual"
    assert sum(world.accepted().values()) == 2
    await world.say_sender(access_methods=("smtp",), deleted=True)
    await world.until(world._sender_known, "the deletion is known")
    with pytest.raises(smtplib.SMTPSenderRefused):
        await asyncio.to_thread(_send, relay.plain, ["accept+9@people.test"], 2)


async def test_kill_9_after_250_loses_nothing_and_sends_nothing_twice(
    world: DispatcherWorld,
) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start("intake-after-store:7")
    told: list[str] = []
    retried: list[str] = []

    async def settled() -> bool:
        return (await world.said())["email.sent"] == 6

    for number in range(7):
        to = f"accept+{number}@people.test"
        if number == 6:
            await world.until(settled, "six are settled")  # else the crash leaves some in doubt
        try:
            await asyncio.to_thread(_send, relay.plain, [to], number)
            told.append(to)
        except (smtplib.SMTPException, OSError):
            retried.append(to)
    assert len(told) == 6  # the seventh was stored, and its 250 was never said
    await world.until(relay.one.dead, "the end")
    await relay.again()
    for to in retried:  # as its client would
        number = int(to[7])
        await asyncio.to_thread(_send, relay.plain, [to], number)
    await accepted(world, *told, *retried)


async def test_eight_bit_mail_says_so_to_the_next_server(world: DispatcherWorld) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start()
    people = ["accept+1@people.test"]

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", relay.plain, timeout=20) as client:
            content = letter(1, "Grüße").replace("Number 1", "Zahl für alle").encode()
            options = ("BODY=8BITMIME", "SMTPUTF8")
            client.sendmail(SENDER, people, content, options)

    await asyncio.to_thread(send)
    await accepted(world, *people)
    (record,) = world.box.records("accepted")
    content = world.box.mail(record)
    assert "\r\n\r\nGrüße\r\n".encode() in content
    assert "Subject: Zahl für alle\r\n".encode() in content


async def test_a_mail_in_doubt_is_sent_again_with_the_same_message_id(
    world: DispatcherWorld,
) -> None:
    relay = Relay(world, world.dispatcher())
    await relay.start(POSTFLEET_DISPATCHER_UNKNOWN_AFTER_SECONDS="0.1")
    to = "drop-after+1@people.test"
    await asyncio.to_thread(_send, relay.plain, [to], 1)

    async def twice() -> bool:
        return world.accepted()[to] >= 2

    await world.until(twice, "a second try", lambda: relay.one.tail(), 40)
    records = [m for m in world.box.records("accepted") if m.recipient == to]
    ids = {email.message_from_bytes(world.box.mail(m))["Message-ID"] for m in records}
    assert ids == {"<1@client.test>"}
    assert (await world.said())["email.unknown"] >= 1


def _send(port: int, people: list[str], number: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=20) as client:
        client.sendmail(SENDER, people, letter(number))
