"""What recipients do with a mail, seen by the platform that sent it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Protocol

import aiosmtplib
import pytest

from postfleet_sandbox import NAMED, Behaviour, Sandbox
from postfleet_sandbox.behaviours import drawn
from postfleet_sandbox.leads import demo_leads
from postfleet_sandbox.recipients import BROWSERS, MAIL_READERS, SCANNERS

Send = Callable[..., Awaitable[str]]
Inbox = Callable[[], Awaitable[list[bytes]]]
HTML = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8"


class Platform(Protocol):
    url: str
    failures: int
    statuses: dict[str, str]
    requests: list[tuple[str, str, str, str]]

    def asked(self, method: str, path: str) -> list[tuple[str, str]]: ...


def page(url: str) -> dict[str, str]:
    """Return a mail as campaigns send it: a pixel, a link, one-click unsubscribe."""
    one_click = (
        f"List-Unsubscribe: <{url}/u/token>,\n <mailto:stop@fleet.test>\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
    )
    body = (
        f'<p>Hello</p><a href="{url}/c/offer">See our offer</a> '
        f'<a href="{url}/u/token">Unsubscribe</a><img src="{url}/o/pixel.gif" width=1 height=1>'
        '<img src="https://elsewhere.test/logo.png"><a href="https://elsewhere.test/">Us</a>'
    )
    return {"extra": f"{one_click}\n{HTML}", "body": body}


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_a_person_opens_with_a_mail_reader_and_clicks_with_a_browser(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    platform.statuses["/c/offer"] = "302 Found\r\nLocation: https://elsewhere.test/landing"
    await send("click@people.test", **page(platform.url))
    await box.settled()
    ((reader, _),) = platform.asked("GET", "/o/pixel.gif")
    ((browser, _),) = platform.asked("GET", "/c/offer")
    assert reader in [agent.lower() for agent in MAIL_READERS]
    assert browser in [agent.lower() for agent in BROWSERS]
    assert len(platform.requests) == 2
    (click,) = box.records("click")
    assert click.detail["location"] == "https://elsewhere.test/landing"
    assert (box.summary()["opened"], box.summary()["clicked"]) == (1, 1)


async def test_a_redirect_within_this_machine_is_followed_once(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    platform.statuses["/c/offer"] = f"302 Found\r\nLocation: {platform.url}/landing"
    platform.statuses["/landing"] = f"302 Found\r\nLocation: {platform.url}/again"
    await send("click@people.test", **page(platform.url))
    await box.settled()
    assert len(platform.asked("GET", "/landing")) == 1
    assert platform.asked("GET", "/again") == []


async def test_people_do_not_open_before_their_delay(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    await send("open@people.test", **page(platform.url))
    await box.settled()
    (accepted,), (opened,) = box.records("accepted"), box.records("human_open")
    assert opened.at - accepted.at >= 200


async def test_a_scanner_fetches_everything_within_a_second_and_unsubscribes_nobody(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    await send("scanner@people.test", **page(platform.url))
    await box.settled()
    assert {(method, path) for method, path, _, _ in platform.requests} == {
        ("GET", "/o/pixel.gif"),
        ("GET", "/c/offer"),
        ("GET", "/u/token"),
    }
    agents = {agent for _, _, agent, _ in platform.requests}
    assert agents <= {agent.lower() for agent in SCANNERS}
    (accepted,) = box.records("accepted")
    assert all(record.at - accepted.at < 1000 for record in box.records("scanner_click"))
    counts = box.summary()
    assert (counts["scanner_opens"], counts["scanner_clicks"]) == (1, 1)
    assert (counts["opened"], counts["clicked"], counts["unsubscribed"]) == (0, 0, 0)


async def test_a_person_unsubscribes_once_by_one_click_post(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    for number in range(2):
        await send("unsubscribe@people.test", message_id=f"<{number}@x>", **page(platform.url))
    await box.settled()
    ((_, body),) = platform.asked("POST", "/u/token")
    assert body == "List-Unsubscribe=One-Click"
    assert box.summary()["unsubscribed"] == 1
    assert box.summary()["opened"] == 2


async def test_links_in_plain_text_are_clicked_too(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    text = f"Look: {platform.url}/c/plain\r\nUnsubscribe: {platform.url}/unsubscribe/1\r\n"
    await send("click@people.test", body=text)
    await box.settled()
    assert [path for _, path, _, _ in platform.requests] == ["/c/plain"]


async def test_a_request_is_repeated_until_the_platform_is_back(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    platform.failures = 2
    await send("open@people.test", **page(platform.url))
    await box.settled()
    assert len(platform.asked("GET", "/o/pixel.gif")) == 3
    assert box.summary()["opened"] == 1


async def test_an_action_that_fails_is_not_counted(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    platform.statuses["/o/pixel.gif"] = "404 Not Found"
    await send("open@people.test", **page(platform.url))
    await box.settled()
    assert box.summary()["opened"] == 0
    assert ["404" in record.detail["reason"] for record in box.records("gave_up")] == [True]


async def test_nothing_outside_this_machine_is_fetched(
    box: Sandbox, send: Send, platform: Platform
) -> None:
    await send("guarded@people.test", **page("http://127.0.0.1.elsewhere.test"))
    await box.settled()
    assert {record.kind for record in box.records()} == {"accepted", "gave_up"}
    assert platform.requests == []


async def test_a_person_answers_the_first_mail_only(box: Sandbox, send: Send, inbox: Inbox) -> None:
    for number in range(2):
        await send(
            "reply+jo.doe@people.test",
            message_id=f"<{number}@fleet.test>",
            extra="References: <before@fleet.test>\nReply-To: ann+tag@fleet.test",
        )
    await box.settled()
    (content,) = await inbox()
    answer = parsed(content)
    assert answer["In-Reply-To"] == "<0@fleet.test>"
    assert answer["References"] == "<before@fleet.test> <0@fleet.test>"
    assert answer["Subject"] == "Re: Our offer"
    assert answer["From"] == "Jo Doe <reply+jo.doe@people.test>"
    assert answer["To"] == "ann+tag@fleet.test"
    assert "Hi!" in answer.get_content()
    assert answer["Auto-Submitted"] is None
    assert box.summary()["replied"] == 1


async def test_an_absent_person_answers_automatically_once_a_sender(
    box: Sandbox, send: Send, inbox: Inbox
) -> None:
    for number in range(2):
        await send("vacation@people.test", message_id=f"<{number}@fleet.test>")
    await box.settled()
    (content,) = await inbox()
    answer = parsed(content)
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["In-Reply-To"] == "<0@fleet.test>"
    assert answer["Return-Path"] == "<>"
    assert "Our offer" in answer["Subject"]
    assert (box.summary()["auto_replied"], box.summary()["replied"]) == (1, 0)


@pytest.mark.parametrize(
    ("local_part", "action", "status", "counted"),
    [
        pytest.param("dsn", "failed", "5.1.1", "bounced_hard", id="unknown user"),
        pytest.param("dsn-full", "failed", "5.2.2", "bounced_hard", id="mailbox full"),
        pytest.param("dsn-delayed", "delayed", "4.4.1", "bounced_soft", id="delayed"),
    ],
)
async def test_a_delivery_status_notification_comes_back(
    box: Sandbox,
    send: Send,
    inbox: Inbox,
    local_part: str,
    action: str,
    status: str,
    counted: str,
) -> None:
    recipient = f"{local_part}+jo@people.test"
    await send(recipient, message_id="<lost@fleet.test>")
    await box.settled()
    (content,) = await inbox()
    report = parsed(content)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["Return-Path"] == "<>"
    text, machine, returned = report.iter_parts()
    assert recipient in text.get_content()
    of_message, of_recipient = machine.get_payload()
    assert of_message["Reporting-MTA"] == "dns; mx.people.test"
    assert of_recipient["Final-Recipient"] == f"rfc822; {recipient}"
    assert (of_recipient["Action"], of_recipient["Status"]) == (action, status)
    assert of_recipient["Diagnostic-Code"].startswith("smtp; ")
    assert "Message-ID: <lost@fleet.test>" in returned.get_content()
    assert box.summary()[counted] == 1


async def test_mail_between_accounts_is_delivered(
    box: Sandbox, send: Send, inbox: Inbox, make_mail: Callable[..., bytes]
) -> None:
    await send("ann+archive@fleet.test", body="To myself")
    await box.settled()
    assert await inbox() == [make_mail("ann+archive@fleet.test", body="To myself")]


async def test_a_provider_that_keeps_sent_mail_files_it_in_sent(
    box: Sandbox, send: Send, folder: Callable[[str], Awaitable[list[bytes]]]
) -> None:
    await send("accept@people.test", message_id="<1@x>")
    box.add_account("ann@fleet.test", "correct horse", saves_sent=True)
    await send("accept@people.test", message_id="<2@x>")
    await box.settled()
    assert [parsed(content)["Message-ID"] for content in await folder("Sent")] == ["<2@x>"]


async def test_the_demo_leads_behave_as_their_file_says(
    box: Sandbox,
    connect: Callable[[], Awaitable[aiosmtplib.SMTP]],
    make_mail: Callable[..., bytes],
    platform: Platform,
) -> None:
    leads = demo_leads(seed=1, rows=200)
    client = await connect()
    for email in [*leads.valid, *(email for email in leads.valid if drawn(1, email) == "greylist")]:
        with suppress(aiosmtplib.SMTPRecipientsRefused):
            await client.sendmail("ann@fleet.test", [email], make_mail(email, **page(platform.url)))
    await box.settled()
    counts, of = box.summary(), leads.behaviours
    opening = ("open", "click", "reply", "unsubscribe", "greylist", "guarded")
    assert counts == {
        "accepted": len(leads.valid) - of["bounce"],
        "accepted_recipients": len(leads.valid) - of["bounce"],
        "duplicates": 0,
        "bounced_hard": of["bounce"] + of["dsn"],
        "bounced_soft": 0,
        "deferred": of["greylist"],
        "replied": of["reply"],
        "auto_replied": of["vacation"],
        "opened": sum(of[name] for name in opening),
        "clicked": of["click"] + of["guarded"],
        "scanner_opens": of["scanner"] + of["guarded"],
        "scanner_clicks": of["scanner"] + of["guarded"],
        "unsubscribed": of["unsubscribe"],
        "pending_actions": 0,
    }


async def test_a_script_changes_what_an_address_does(box: Sandbox, send: Send) -> None:
    box.script("Reply@people.test", "accept")
    await send("reply@people.test")
    assert box.pending_actions == 0
    box.script("reply@people.test", Behaviour(acts=NAMED["reply"].acts))
    await send("reply@people.test")
    assert box.pending_actions == 2


async def test_a_mail_that_cannot_be_read_does_not_stay_pending(box: Sandbox, send: Send) -> None:
    nested = 'Content-Type: multipart/mixed; boundary="b"'
    await send("guarded@people.test", extra=nested, body="--b\r\n\xff\xfe")
    await box.settled()
    assert {record.kind for record in box.records()} == {"accepted", "gave_up"}
