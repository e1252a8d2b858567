"""Finished tables for large fleets: the same promises, and fast among 20,000 mailboxes."""

import asyncio
import imaplib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain.user_tables import mailbox_line, user_line
from mail_provisioner.mail_files import TableFiles
from mail_provisioner.volume import ConfigVolume
from tests.integration.mail_provisioner.test_mail_server import arrives, live, settings
from tests.support.mailpair import MailPair
from tests.support.provisioner import ACCOUNTS, ALIASES, Service, Start

USERS, MAILBOXES = "postfleet/userdb", "postfleet/vmailbox"
TABLE, DOMAINS = "postfleet/virtual", "postfleet/domains"
HASH = "{SHA512-CRYPT}$6$saltsaltsaltsalt$" + "x" * 86
MANY = 20_000

needs_mail = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Service]:
    async with start(config_form="tables", hostname="mail.test") as service:
        yield service


async def test_tables_hold_what_dovecot_and_postfix_read(service: Service) -> None:
    domain = await service.domain()
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    await service.post("/mailboxes", domain=domain, prefix="ann")
    await service.post("/aliases", alias=f"sales@{domain}", targets=[ann])
    await service.post("/catch-all", domain=domain, targets=[ann])
    await service.post("/mailboxes", domain=domain, prefix="bob")
    first, second = service.lines(USERS)
    assert first.startswith(f"{ann}:{{SHA512-CRYPT}}$6$")
    assert second.endswith(f":5000:5000::/var/mail/{domain}/bob::")
    assert service.lines(MAILBOXES) == [f"{ann} {domain}/ann/", f"{bob} {domain}/bob/"]
    assert service.lines(DOMAINS) == [f"{domain} OK"]
    assert service.lines(TABLE) == [
        f"sales@{domain} {ann}", f"{ann} {ann}", f"{bob} {bob}", f"@{domain} {ann}",
    ]  # fmt: skip
    assert [line.split("|")[0] for line in service.lines(ACCOUNTS)] == ["postfleet@mail.test"]
    assert service.lines(ALIASES) == []
    (revision,) = service.lines("postfix-regexp.cf")
    now = time.time()
    assert now - (service.config / MAILBOXES).stat().st_mtime > 20  # Postfix need not wait
    assert now - (service.config / USERS).stat().st_mtime < 20  # Dovecot notices by it

    await service.http.patch(f"/aliases/sales@{domain}", json={"targets": [bob]})
    await service.http.delete(f"/mailboxes/{ann}?confirm={ann}")
    await service.http.delete(f"/catch-all/{domain}")
    assert [line.split(":")[0] for line in service.lines(USERS)] == [bob]
    assert service.lines(MAILBOXES) == [f"{bob} {domain}/bob/"]
    assert service.lines(TABLE) == [f"sales@{domain} {bob}", f"{bob} {bob}"]
    assert service.lines("postfix-regexp.cf") != [revision]


@pytest.mark.seed("S96")
async def test_what_others_wrote_into_the_tables_is_neither_overwritten_nor_removed(
    service: Service,
) -> None:
    domain = await service.domain()
    path = service.config / USERS
    path.parent.mkdir(parents=True)
    by_hand = f"ann@{domain}:{{PLAIN}}x::::::\n"
    path.write_text(by_hand)
    (service.config / TABLE).write_text(f"info@{domain} x@else.test\n")
    for path_, body in (
        ("/mailboxes", {"domain": domain, "prefix": "ann"}),
        ("/mailboxes", {"domain": domain, "prefix": "info"}),
        ("/aliases", {"alias": f"ann@{domain}", "targets": ["x@else.test"]}),
        ("/aliases", {"alias": f"info@{domain}", "targets": ["y@else.test"]}),
    ):
        if body.get("alias") == f"ann@{domain}":  # a name that failed is free again
            await service.http.delete(f"/mailboxes/ann@{domain}?confirm=ann@{domain}")
        if body.get("alias") == f"info@{domain}":
            await service.http.delete(f"/mailboxes/info@{domain}?confirm=info@{domain}")
        refused = await service.post(path_, **body)
        assert (refused.status_code, refused.json()["code"]) == (409, "ADDRESS_IN_USE")
    assert path.read_text() == by_hand
    assert service.lines(TABLE) == [f"info@{domain} x@else.test"]


async def test_two_provisioners_at_once_lose_no_line(start: Start) -> None:
    async with start(config_form="tables") as one, start(config_form="tables") as two:
        domain = await one.domain()
        answers = await asyncio.gather(
            *(
                service.post("/mailboxes", domain=domain, prefix=f"{name}{number}")
                for name, service in (("a", one), ("b", two))
                for number in range(6)
            )
        )
        assert {answer.status_code for answer in answers} == {201}
        assert len(one.lines(USERS)) == len(one.lines(MAILBOXES)) == 12


def _fill(config: Path, domain: str) -> None:
    names = [f"m{number}@{domain}" for number in range(MANY)]
    (config / "postfleet").mkdir(exist_ok=True)
    (config / USERS).write_text("".join(f"{user_line(name, HASH)}\n" for name in names))
    (config / MAILBOXES).write_text("".join(f"{mailbox_line(name)}\n" for name in names))
    (config / TABLE).write_text("".join(f"a{name} {name}\n" for name in names))


async def test_one_change_among_20000_mailboxes_takes_less_than_100_ms(tmp_path: Path) -> None:
    _fill(tmp_path, "one.test")
    volume = ConfigVolume(tmp_path)
    files = TableFiles(volume, "postfleet@mail.test")
    seconds: list[float] = []
    # The quickest: other tests run beside this one, and what they take is not the change's.
    while min(seconds, default=1.0) >= 0.1 and len(seconds) < 40:
        number = len(seconds)
        new = Address(
            f"new{number}@one.test", Kind.MAILBOX, "one.test", State.REQUESTED, 1, 0,
            password_hash=HASH,
        )  # fmt: skip
        began = time.perf_counter()
        async with volume.locked():
            await files.write_mailbox(new)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1, seconds
    assert len((tmp_path / USERS).read_text().splitlines()) == MANY + len(seconds)


@needs_mail
@pytest.mark.seed("S52", "S54")
async def test_among_20000_mailboxes_a_new_one_works_within_2_s_and_nobody_is_refused(
    start: Start,
) -> None:
    with MailPair() as pair:  # one of its own: its tables are large
        async with start(**settings(pair), config_form="tables") as service:
            domain = await service.domain()
            password = await live(service, domain, "old")
            _fill_more(pair.config_dir, domain)
            await asyncio.to_thread(pair.wait_login, f"old@{domain}", password)
            refused: list[str] = []
            watching = asyncio.create_task(_log_in_again(pair, f"old@{domain}", password, refused))
            began = time.monotonic()
            await live(service, domain, "new")
            assert time.monotonic() - began < 2.0
            await service.post("/aliases", alias=f"sales@{domain}", targets=[f"new@{domain}"])
            await service.post("/catch-all", domain=domain, targets=[f"old@{domain}"])
            assert await arrives(pair, f"sales@{domain}", f"new@{domain}")
            assert await arrives(pair, f"new+tag@{domain}", f"new@{domain}")
            assert await arrives(pair, f"nobody@{domain}", f"old@{domain}")
            watching.cancel()
            await asyncio.wait([watching])
            assert refused == []


def _fill_more(config: Path, domain: str) -> None:
    with (config / USERS).open("a") as users, (config / MAILBOXES).open("a") as boxes:
        for number in range(MANY):
            users.write(f"{user_line(f'm{number}@{domain}', HASH)}\n")
            boxes.write(f"{mailbox_line(f'm{number}@{domain}')}\n")


async def _log_in_again(pair: MailPair, address: str, password: str, refused: list[str]) -> None:
    def log_in() -> None:
        try:
            pair.imap(address, password).logout()
        except (OSError, imaplib.IMAP4.error) as error:
            refused.append(str(error))

    while True:
        await asyncio.to_thread(log_in)
        await asyncio.sleep(0.05)
