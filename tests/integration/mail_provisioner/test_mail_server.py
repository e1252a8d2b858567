"""Mailboxes made through the API work on a real Postfix and Dovecot that read the same files."""

import asyncio
import imaplib
import smtplib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.mailpair import MailPair
from tests.support.ports import free_ports
from tests.support.provisioner import ACCOUNTS, ALIASES, Service, Start, opened

pytestmark = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")

HELLO = "From: x@outside.test\r\nTo: you\r\nSubject: hello\r\n\r\nhello\r\n"


def settings(pair: MailPair) -> dict[str, Any]:
    return {
        "config_dir": pair.config_dir,
        "mail_host": "127.0.0.1",
        "imaps_port": pair.imaps_port,
        "submission_port": pair.submission_port,
        "tls_ca_file": str(pair.ca_file),
        "login_delay_seconds": 0,
    }


@pytest.fixture
async def service(start: Start, mail_pair: MailPair) -> AsyncIterator[Service]:
    async with start(**settings(mail_pair)) as service:
        yield service


async def live(service: Service, domain: str, prefix: str) -> str:
    """The password of a new mailbox, once it is live."""
    await service.post("/mailboxes", domain=domain, prefix=prefix)
    address = f"{prefix}@{domain}"

    async def is_live() -> bool:
        return (await service.http.get(f"/mailboxes/{address}")).json()["state"] == "live"

    await service.eventually(is_live)
    return opened(await service.secret(address))


def send(pair: MailPair, to: str) -> None:
    """As another mail server would, on port 25."""
    with smtplib.SMTP("127.0.0.1", pair.smtp_port, "outside.test", timeout=10) as client:
        client.sendmail("x@outside.test", [to], HELLO)


@pytest.mark.seed("S91")
async def test_a_new_mailbox_logs_in_over_imap_and_submission_within_a_second(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    began = time.monotonic()
    password = await live(service, domain, "ann")
    assert time.monotonic() - began < 1.0
    address = f"ann@{domain}"
    await asyncio.to_thread(mail_pair.wait_login, address, password)
    with mail_pair.submission(address, password) as client:
        client.sendmail(address, [address], HELLO.replace("x@outside.test", address))
    (received,) = await asyncio.to_thread(mail_pair.wait_messages, address)
    assert b"hello" in received
    assert [e[0] for e in await service.events(address, 1)] == ["mailbox.created"]

    await service.http.delete(f"/mailboxes/{address}?confirm={address}")
    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(mail_pair.imap, address, password)


@pytest.mark.seed("S54", "C36")
async def test_a_catch_all_takes_only_what_no_mailbox_takes(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    await live(service, domain, "ann")
    with (mail_pair.config_dir / ALIASES).open("a") as file:
        file.write(f"@{domain} ann@{domain}\n")
    await live(service, domain, "bob")
    for name in ("ann", "bob", "bob+tag", "nobody"):
        await asyncio.to_thread(send, mail_pair, f"{name}@{domain}")
    anns = await asyncio.to_thread(mail_pair.wait_messages, f"ann@{domain}", 2)
    bobs = await asyncio.to_thread(mail_pair.wait_messages, f"bob@{domain}", 2)
    assert (len(anns), len(bobs)) == (2, 2)


@pytest.mark.seed("S95", "S97", "C19")
async def test_an_alias_takes_mail_but_no_log_in(service: Service, mail_pair: MailPair) -> None:
    domain = await service.domain()
    password = await live(service, domain, "ann")
    alias = f"sales@{domain}"
    await service.post("/aliases", alias=alias, targets=[f"ann@{domain}"])
    await asyncio.to_thread(send, mail_pair, alias)
    assert await asyncio.to_thread(mail_pair.wait_messages, f"ann@{domain}")
    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(mail_pair.imap, alias, password)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await asyncio.to_thread(mail_pair.submission, alias, password)


@pytest.mark.parametrize(
    ("server", "code"),
    [
        pytest.param("absent", "MAIL_SERVER_UNREACHABLE", id="nobody listens"),
        pytest.param("reads other files", "LOGIN_REFUSED", id="the server reads other files"),
    ],
)
async def test_a_mailbox_that_never_works_fails_and_leaves_nothing_behind(
    start: Start,
    mail_pair: MailPair,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    code: str,
) -> None:
    monkeypatch.setattr("mail_provisioner.domain.addresses._RETRY_SECONDS", (0.5,))
    monkeypatch.setattr("mail_provisioner.store.GIVE_UP_AFTER_SECONDS", 1)
    changed = {**settings(mail_pair), "config_dir": tmp_path}
    if server == "absent":
        changed["imaps_port"] = free_ports(1)[0]
    async with start(**changed) as service:
        domain = await service.domain()
        made = await service.post("/mailboxes", domain=domain, prefix="ann")
        assert made.json()["state"] == "written"
        assert len(service.lines(ACCOUNTS)) == 1
        (event,) = await service.events(f"ann@{domain}", 1)
        assert (event[0], event[1]["code"]) == ("mailbox.failed", code)
        failed = (await service.http.get(f"/mailboxes/ann@{domain}")).json()
        assert (failed["state"], failed["error"]["code"]) == ("failed", code)
        assert service.lines(ACCOUNTS) == []
        assert "error" in await service.secret(f"ann@{domain}")


async def test_a_mailbox_is_announced_even_if_the_mail_server_is_taken_out_of_the_settings(
    start: Start, mail_pair: MailPair
) -> None:
    absent = {**settings(mail_pair), "imaps_port": free_ports(1)[0], "login_delay_seconds": 3.0}
    async with start(**absent) as service:
        domain = await service.domain()
        made = await service.post("/mailboxes", domain=domain, prefix="ann")
        assert made.json()["state"] == "written"
    async with start(config_dir=mail_pair.config_dir) as service:
        events = await service.events(f"ann@{domain}", 1)
        assert [subject for subject, _, _ in events] == ["mailbox.created"]
        assert (await service.http.get(f"/mailboxes/ann@{domain}")).json()["state"] == "written"


async def arrives(pair: MailPair, to: str, *mailboxes: str) -> bool:
    """Whether a mail to `to` reaches each of the mailboxes, once."""
    before = [len(await asyncio.to_thread(pair.messages, box)) for box in mailboxes]
    await asyncio.to_thread(send, pair, to)
    for box, count in zip(mailboxes, before, strict=True):
        found = await asyncio.to_thread(pair.wait_messages, box, count + 1)
        if len(found) != count + 1:
            return False
    return True


@pytest.mark.seed("S51", "S52", "S100", "S101", "S117", "S142", "C18")
async def test_groups_and_tags_reach_everybody_they_should(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    for prefix in ("ann", "bob", "no"):
        await live(service, domain, prefix)
    ann, bob, no = (f"{prefix}@{domain}" for prefix in ("ann", "bob", "no"))
    await service.post("/groups", address=f"team@{domain}", members=[ann, bob])
    await service.post("/aliases", alias=f"sales@{domain}", targets=[ann])
    assert await arrives(mail_pair, f"team@{domain}", ann, bob)
    assert await arrives(mail_pair, f"ann+shop@{domain}", ann)
    assert await arrives(mail_pair, f"sales+x@{domain}", ann)
    assert await arrives(mail_pair, f"no-reply@{domain}", no)
    await service.http.patch(f"/groups/team@{domain}", json={"members": [bob]})
    assert await arrives(mail_pair, f"team@{domain}", bob)


@pytest.mark.seed("S54", "S98", "S99")
async def test_a_catch_all_takes_only_what_reaches_nobody_else(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    for prefix in ("ann", "bob"):
        await live(service, domain, prefix)
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await asyncio.to_thread(send, mail_pair, f"nobody@{domain}")
    assert refused.value.recipients[f"nobody@{domain}"][0] == 550
    await service.post("/catch-all", domain=domain, targets=[bob])
    assert await arrives(mail_pair, f"nobody@{domain}", bob)
    assert await arrives(mail_pair, ann, ann)
    assert await arrives(mail_pair, f"ann+tag@{domain}", ann)
    assert len(await asyncio.to_thread(mail_pair.messages, bob)) == 1
    await service.http.patch(f"/catch-all/{domain}", json={"targets": [ann, bob]})
    assert await arrives(mail_pair, f"else@{domain}", ann, bob)


@pytest.mark.seed("S134", "S140", "S162")
async def test_an_application_sends_by_its_variables_on_both_ports(
    start: Start, mail_pair: MailPair
) -> None:
    both = {**settings(mail_pair), "submissions_port": mail_pair.submissions_port}
    async with start(**both, hostname="mail.test") as service:
        domain = await service.domain()
        made = await service.post("/mailboxes/apps", domain=domain, app="Shop")
        assert made.headers["Cache-Control"] == "no-store"
        env = made.json()["env"]
        assert env["MAIL_SMTP_SERVER"] == "mail.test"
        assert env["MAIL_FROM"] == f"shop.app@{domain}"
        assert int(env["MAIL_SMTP_PORT"]) == mail_pair.submission_port
        await asyncio.to_thread(_send_as_app, mail_pair, env)
        assert len(await asyncio.to_thread(mail_pair.wait_messages, env["MAIL_FROM"], 2)) == 2
        shown = await service.http.get(f"/mailboxes/{env['MAIL_FROM']}")
        assert env["MAIL_SMTP_PASSWORD"] not in shown.text
        named = await service.post("/mailboxes/apps", domain=domain, app="blog", prefix="news")
        assert named.json()["env"]["MAIL_FROM"] == f"news@{domain}"
        taken = await service.post("/mailboxes/apps", domain=domain, app="shop")
        assert (taken.status_code, taken.json()["code"]) == (409, "ADDRESS_IN_USE")


def _send_as_app(pair: MailPair, env: dict[str, str]) -> None:
    user, password = env["MAIL_SMTP_USERNAME"], env["MAIL_SMTP_PASSWORD"]
    pair.wait_login(user, password)
    with smtplib.SMTP_SSL(
        "127.0.0.1", int(env["MAIL_SMTPS_PORT"]), context=pair.tls(), timeout=10
    ) as client:
        client.login(user, password)
        client.sendmail(env["MAIL_FROM"], [env["MAIL_FROM"]], HELLO)
    with pair.submission(user, password) as client:
        client.sendmail(env["MAIL_FROM"], [env["MAIL_FROM"]], HELLO)


@pytest.mark.seed("S92", "S135")
async def test_nobody_sends_under_the_name_of_another(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    password = await live(service, domain, "ann")
    await live(service, domain, "bob")
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    await service.post("/aliases", alias=f"sales@{domain}", targets=[ann])

    def send_as(author: str) -> None:
        with mail_pair.submission(ann, password) as client:
            client.sendmail(author, [bob], HELLO)

    await asyncio.to_thread(mail_pair.wait_login, ann, password)
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="not owned by user"):
        await asyncio.to_thread(send_as, bob)
    for own in (ann, f"sales@{domain}"):
        await asyncio.to_thread(send_as, own)
    assert len(await asyncio.to_thread(mail_pair.wait_messages, bob, 2)) == 2


@pytest.mark.seed("S48", "S88", "S89", "S92")
async def test_the_same_name_in_two_domains_is_two_mailboxes(
    service: Service, mail_pair: MailPair
) -> None:
    one, two = await service.domain(), await service.domain()
    first, second = await live(service, one, "ann"), await live(service, two, "ann")
    assert await arrives(mail_pair, f"ann@{one}", f"ann@{one}")
    assert mail_pair.messages(f"ann@{two}") == []
    await asyncio.to_thread(mail_pair.wait_login, f"ann@{two}", second)
    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(mail_pair.imap, f"ann@{two}", first)
