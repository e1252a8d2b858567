"""Masquerading by domain, switched while the mail server runs."""

import asyncio
import smtplib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mail_provisioner.domain import masquerading
from tests.integration.mail_provisioner.test_mail_server import HELLO, live, settings
from tests.support.mailpair import MailPair
from tests.support.provisioner import Service, Start

needs_mail = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")


def may_send(pair: MailPair, login: str, password: str, author: str) -> bool:
    with pair.submission(login, password) as client:
        try:
            client.sendmail(author, [login], HELLO)
        except (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused):
            return False
    return True


@needs_mail
@pytest.mark.seed("S135", "S136", "C37", "C15")
@pytest.mark.parametrize("form", ["files", "tables"])
async def test_any_name_of_the_domain_once_it_is_on_and_not_after(
    start: Start, mail_pair: MailPair, form: str
) -> None:
    async with start(**settings(mail_pair), config_form=form) as service:
        domain, other = await service.domain(), await service.domain()
        password = await live(service, domain, "ann")
        await live(service, other, "max")
        ann, anyone, stranger = f"ann@{domain}", f"anyone@{domain}", f"max@{other}"

        async def allowed(author: str) -> bool:
            return await asyncio.to_thread(may_send, mail_pair, ann, password, author)

        assert not await allowed(anyone)
        changed = await switch(service, domain, on=True)
        assert changed["masquerading"] is True
        assert [await allowed(a) for a in (ann, anyone, stranger)] == [True, True, False]
        secret = await live(service, domain, "bob")  # who comes later may do the same
        bob = f"bob@{domain}"
        assert await asyncio.to_thread(may_send, mail_pair, bob, secret, anyone)
        await service.http.delete(f"/mailboxes/{bob}?confirm={bob}")
        assert bob not in (mail_pair.config_dir / masquerading.FILE).read_text()
        assert (await switch(service, domain, on=False))["masquerading"] is False
        assert [await allowed(a) for a in (ann, anyone)] == [True, False]


async def switch(service: Service, domain: str, *, on: bool) -> dict[str, Any]:
    answer = await service.http.patch(f"/domains/{domain}", json={"masquerading": on})
    found: dict[str, Any] = answer.json()
    return found


async def test_where_the_file_cannot_be_written_nothing_is_said_to_have_changed(
    start: Start, tmp_path: Path
) -> None:
    async with start() as service:
        domain = await service.domain()
        (service.config / masquerading.FILE).mkdir(parents=True)
        refused = await service.http.patch(f"/domains/{domain}", json={"masquerading": True})
        assert (refused.status_code, refused.json()["code"]) == (503, "CONFIG_NOT_WRITABLE")
        assert (await service.http.get(f"/domains/{domain}")).json()["masquerading"] is False


def test_each_domain_has_one_line_and_others_stay() -> None:
    text = "# by hand\n/@two\\.test$/ x@two.test\n"
    one = masquerading.with_logins(text, "one.test", ["a@one.test", "b@one.test"])
    assert one == f"{text}/@one\\.test$/ a@one.test,b@one.test\n"
    assert masquerading.with_logins(one, "one.test", ["a@one.test", "b@one.test"]) == one
    assert masquerading.without(one, "one.test") == text
    nobody = masquerading.with_logins(text, "one.test", [])
    assert masquerading.allows(nobody, "one.test")
    assert "/ nobody" in nobody


@needs_mail
def test_postfix_reads_the_table_beside_everybodys_own_name(tmp_path: Path) -> None:
    (tmp_path / "main.cf").touch()
    (tmp_path / "own").write_text("/^(.*)$/ ${1}\n")  # as docker-mailserver writes it
    table = masquerading.with_logins("", "one.test", ["a@one.test", "b@one.test"])
    (tmp_path / "masks").write_text(table)
    maps = f"unionmap:{{ regexp:{tmp_path}/own, regexp:{tmp_path}/masks }}"

    def logins(address: str) -> str:
        command = ["postmap", "-c", str(tmp_path), "-q", address, maps]
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=path)
        return done.stdout.strip()

    assert logins("anyone@one.test") == "anyone@one.test,a@one.test,b@one.test"
    for stranger in ("anyone@onextest", "anyone@one.test.else", "anyone@sub.one.test"):
        assert logins(stranger) == stranger
