"""Filters through the API on a real Dovecot: checked there, run at delivery, and a person's kept."""

import asyncio
import email
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any

import pytest

from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind
from mail_provisioner.domain import filters
from mail_provisioner.sieve import NONSENSE, SieveClient, SieveServer
from tests.integration.mail_provisioner.test_mail_server import live, settings
from tests.support.mailpair import MailPair
from tests.support.provisioner import Service, Start

pytestmark = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")

AWAY = {"text": 'I am "away"; back \\ soon.\r\nKind regards', "subject": "Außer Haus"}


@pytest.fixture
async def service(start: Start, mail_pair: MailPair) -> AsyncIterator[Service]:
    async with start(**settings(mail_pair), sieve_port=mail_pair.sieve_port) as service:
        yield service


def mail(author: str, to: str, subject: str, message_id: str = "<m1@fleet.test>") -> str:
    lines = (f"From: {author}", f"To: {to}", f"Subject: {subject}", f"Message-ID: {message_id}")
    return "\r\n".join([*lines, "", "hello", ""])


class Person:
    """A ManageSieve client of any kind, logged in with the mailbox's own password."""

    def __init__(self, pair: MailPair, address: str, password: str) -> None:
        self.client = SieveClient(SieveServer("localhost", pair.sieve_port), pair.tls())
        self.client.open(address, password)

    def keeps(self, name: str, script: str) -> "Person":
        assert self.client.putscript(name, script), self.client.errmsg
        assert self.client.setactive(name)
        return self


def as_message(raw: bytes) -> Message:
    return email.message_from_bytes(raw)


@pytest.mark.seed("S47", "S53", "S137")
async def test_a_vacation_answers_once_and_the_watcher_knows_it_as_automatic(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    password = await live(service, domain, "ann")
    await live(service, domain, "bob")
    made = await service.post("/filters", mailbox=bob, vacation={**AWAY, "days": 3})
    assert made.status_code == 201, made.text
    assert (made.json()["state"], made.json()["vacation"]["days"]) == ("active", 3)
    for number in range(2):  # one after the other: Dovecot remembers whom it answered at the end
        with mail_pair.submission(ann, password) as client:
            client.sendmail(ann, [bob], mail(ann, bob, "a question", f"<q{number}@{domain}>"))
        await asyncio.to_thread(mail_pair.wait_messages, bob, number + 1, timeout=20)
        (answer,) = await asyncio.to_thread(mail_pair.wait_messages, ann, timeout=20)
    found = as_message(answer)
    assert found["Auto-Submitted"].startswith("auto-replied")
    assert found["In-Reply-To"] == f"<q0@{domain}>"
    assert 'I am "away"; back \\ soon.' in found.get_payload(decode=True).decode()
    assert understand(answer, frozenset({ann})).kind is Kind.AUTO


@pytest.mark.seed("S119")
async def test_some_mail_is_forwarded_and_some_moved(service: Service, mail_pair: MailPair) -> None:
    domain = await service.domain()
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    for prefix in ("ann", "bob"):
        await live(service, domain, prefix)
    invoice = {"header": "Subject", "text": "invoice"}
    rules: list[dict[str, Any]] = [
        {"conditions": [invoice], "forward_to": [bob], "keep": False, "stop": True},
        {"conditions": [{**invoice, "text": "news"}], "move_to": "Lists.Новости"},
    ]
    put = await service.http.put(f"/filters/{ann}", json={"rules": rules})
    assert put.status_code == 200, put.text
    for subject in ("Your invoice", "Some news", "Hello"):
        raw = mail("x@outside.test", ann, subject).encode()
        await asyncio.to_thread(mail_pair.deliver, ann, raw, "x@outside.test")
    (forwarded,) = await asyncio.to_thread(mail_pair.wait_messages, bob, timeout=20)
    assert as_message(forwarded)["Subject"] == "Your invoice"
    assert [as_message(m)["Subject"] for m in mail_pair.messages(ann)] == ["Hello"]
    folder = "Lists.&BB0EPgQyBD4EQQRCBDg-"  # modified UTF-7 (RFC 3501 §5.1.3)
    assert [as_message(m)["Subject"] for m in mail_pair.messages(ann, folder)] == ["Some news"]
    shown = (await service.http.get(f"/filters/{ann}")).json()
    assert (shown["state"], len(shown["rules"])) == ("active", 2)
    listed = (await service.http.get("/filters", params={"domain": domain})).json()["items"]
    assert [item["mailbox"] for item in listed] == [ann]
    assert (await service.http.delete(f"/filters/{ann}")).json()["state"] == "deleted"
    assert (await service.http.get(f"/filters/{ann}")).json()["state"] == "none"
    assert not (await service.http.get("/filters", params={"domain": domain})).json()["items"]


async def test_a_vacation_is_given_on_its_days_only(service: Service, mail_pair: MailPair) -> None:
    domain = await service.domain()
    ann = f"ann@{domain}"
    password = await live(service, domain, "ann")
    today = datetime.now(UTC).date()
    for prefix, first in (("bob", today + timedelta(2)), ("cid", today - timedelta(2))):
        await live(service, domain, prefix)
        last = first + timedelta(30)
        dates = {"first_day": first.isoformat(), "last_day": last.isoformat()}
        made = await service.post(
            "/filters", mailbox=f"{prefix}@{domain}", vacation={**AWAY, **dates}
        )
        assert made.status_code == 201, made.text
        with mail_pair.submission(ann, password) as client:
            to = f"{prefix}@{domain}"
            client.sendmail(ann, [to], mail(ann, to, "a question"))
        await asyncio.to_thread(mail_pair.wait_messages, f"{prefix}@{domain}", timeout=20)
    (answer,) = await asyncio.to_thread(mail_pair.wait_messages, ann, timeout=20)
    assert as_message(answer)["From"].strip("<>") == f"cid@{domain}"


@pytest.mark.seed("S94", "S120")
async def test_a_script_of_a_persons_own_client_is_run_first_or_nothing_happens(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    ann = f"ann@{domain}"
    password = await live(service, domain, "ann")
    person = Person(mail_pair, ann, password).keeps(
        "roundcube",
        'require "fileinto";\nif header :is "Subject" "spam" { fileinto "Junk"; stop; }',
    )
    wish: dict[str, Any] = {"rules": [{"move_to": "Archive"}]}
    refused = await service.http.put(f"/filters/{ann}", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "OTHER_SCRIPT_ACTIVE")
    assert "'roundcube'" in refused.json()["detail"]
    assert person.client.listscripts() == ("roundcube", [])

    put = await service.http.put(f"/filters/{ann}", json={**wish, "other_script": "include"})
    assert put.json()["runs_first"] == "roundcube", put.text
    for subject in ("spam", "good"):
        raw = mail("x@outside.test", ann, subject).encode()
        await asyncio.to_thread(mail_pair.deliver, ann, raw, "x@outside.test")
    assert [as_message(m)["Subject"] for m in mail_pair.messages(ann, "Junk")] == ["spam"]
    assert [as_message(m)["Subject"] for m in mail_pair.messages(ann, "Archive")] == ["good"]
    wish = {"rules": [{"move_to": "Elsewhere"}]}
    again = await service.http.put(f"/filters/{ann}", json=wish)
    assert again.json()["runs_first"] == "roundcube", "what ran first still does"

    await service.http.delete(f"/filters/{ann}")
    assert person.client.listscripts() == ("roundcube", []), "theirs is active again"


async def test_our_script_changed_by_hand_is_kept(service: Service, mail_pair: MailPair) -> None:
    domain = await service.domain()
    ann = f"ann@{domain}"
    password = await live(service, domain, "ann")
    wish = {"rules": [{"move_to": "Archive"}]}
    await service.http.put(f"/filters/{ann}", json=wish)
    person = Person(mail_pair, ann, password)
    edited = person.client.getscript(filters.NAME).replace("Archive", "Mine")
    person.keeps(filters.NAME, edited)
    assert (await service.http.get(f"/filters/{ann}")).json()["state"] == "changed_by_hand"
    for call in (
        service.http.put(f"/filters/{ann}", json=wish),
        service.http.delete(f"/filters/{ann}"),
    ):
        refused = await call
        assert (refused.status_code, refused.json()["code"]) == (409, "CHANGED_BY_HAND")
    assert person.client.getscript(filters.NAME) == edited
    person.keeps("own", "keep;")
    assert person.client.deletescript(filters.NAME)
    person.client.setactive("")
    assert (await service.http.put(f"/filters/{ann}", json=wish)).status_code == 200
    person.client.setactive("own")
    assert (await service.http.get(f"/filters/{ann}")).json()["state"] == "inactive"


async def test_mail_that_would_come_back_is_refused(service: Service) -> None:
    domain = await service.domain()
    ann, bob, all_ = f"ann@{domain}", f"bob@{domain}", f"all@{domain}"
    for prefix in ("ann", "bob"):
        await live(service, domain, prefix)
    await service.post("/groups", address=all_, members=["x@outside.test", ann])
    for target in (ann, f"ann+tag@{domain}", all_):
        rules = [{"forward_to": ["y@outside.test"]}, {"forward_to": [target]}]
        refused = await service.http.put(f"/filters/{ann}", json={"rules": rules})
        assert refused.status_code == 422, refused.text
        (error,) = refused.json()["errors"]
        assert (error["code"], error["field"]) == ("LOOP", "rules.1.forward_to.0")
    to_bob, to_ann = ({"rules": [{"forward_to": [to]}]} for to in (bob, ann))
    assert (await service.http.put(f"/filters/{ann}", json=to_bob)).status_code == 200
    refused = await service.http.put(f"/filters/{bob}", json=to_ann)
    assert refused.json()["errors"][0]["code"] == "LOOP"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        pytest.param({}, "body", id="nothing wished"),
        pytest.param({"vacation": {"text": "a\x00b"}}, "vacation.text", id="a NUL"),
        pytest.param(
            {"vacation": {"text": "a", "subject": "a\r\nBcc: x@y.test"}},
            "vacation.subject",
            id="a subject of two lines",
        ),
        pytest.param({"vacation": {"text": "a", "days": 0}}, "vacation.days", id="no days"),
        pytest.param(
            {"vacation": {"text": "a", "first_day": "2026-02-30"}},
            "vacation.first_day",
            id="a day that is none",
        ),
        pytest.param(
            {"vacation": {"text": "a", "first_day": "2026-02-02", "last_day": "2026-02-01"}},
            "vacation",
            id="an end before the beginning",
        ),
        pytest.param(
            {"vacation": {"text": "a", "addresses": ["no address"]}},
            "vacation.addresses.0",
            id="no address",
        ),
        pytest.param(
            {"rules": [{"forward_to": ["a,b@one.test"]}]}, "rules.0.forward_to.0", id="two targets"
        ),
        pytest.param({"rules": [{}]}, "rules.0", id="a rule that does nothing"),
        pytest.param(
            {"rules": [{"forward_to": [f"a{n}@one.test" for n in range(5)]}]},
            "rules.0.forward_to",
            id="more targets than a mail server follows",
        ),
        pytest.param(
            {"rules": [{"conditions": [{"header": "Sub ject", "text": "x"}], "move_to": "A"}]},
            "rules.0.conditions.0.header",
            id="no field name",
        ),
        pytest.param({"rules": [{"move_to": "A", "colour": 1}]}, "rules.0.colour", id="unknown"),
    ],
)
async def test_a_wish_that_cannot_be_names_its_field(
    service: Service, wish: dict[str, Any], field: str
) -> None:
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="ann")
    refused = await service.http.put(f"/filters/ann@{domain}", json=wish)
    assert refused.status_code == 422, refused.text
    assert field in [error["field"] for error in refused.json()["errors"]]


async def test_what_the_server_does_not_take_changes_nothing(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    ann = f"ann@{domain}"
    password = await live(service, domain, "ann")
    good = {"rules": [{"move_to": "Archive"}]}
    await service.http.put(f"/filters/{ann}", json=good)
    before = Person(mail_pair, ann, password).client.getscript(filters.NAME)
    conditions = [{"header": "Subject", "text": "x" * 500}] * 20
    bad = {"rules": [{"conditions": conditions, "move_to": "A"}] * 80}  # above the server's 1 MB
    refused = await service.http.put(f"/filters/{ann}", json=bad)
    assert (refused.status_code, refused.json()["code"]) == (422, "SCRIPT_REFUSED"), refused.text
    assert "large" in refused.json()["detail"]
    assert Person(mail_pair, ann, password).client.getscript(filters.NAME) == before


async def test_filters_need_a_mailbox_of_ours_and_a_mail_server(
    start: Start, service: Service
) -> None:
    assert (await service.http.get("/filters/nobody@else.test")).status_code == 404
    domain = await service.domain()
    await live(service, domain, "ann")
    made = await service.post("/filters", mailbox=f"ann@{domain}", rules=[{"move_to": "A"}])
    assert made.status_code == 201
    again = await service.post("/filters", mailbox=f"ann@{domain}", rules=[{"move_to": "A"}])
    assert (again.status_code, again.json()["code"]) == (409, "FILTERS_EXIST")
    async with start() as other:
        refused = await other.http.get(f"/filters/ann@{domain}")
        assert refused.status_code in (404, 409)


Script = list[bytes]


@pytest.mark.parametrize(
    ("server_says", "why"),
    [
        pytest.param([b""], "closed", id="nothing"),
        pytest.param([b'"SIEVE" "x"\r\n"SASL" "PLAIN"\r\nOK\r\n'], "STARTTLS", id="no TLS"),
        pytest.param([b'"STARTTLS"\r\nOK\r\n', b"NO\r\n"], "refuses STARTTLS", id="TLS refused"),
        pytest.param(
            [b'"STARTTLS"\r\nOK\r\n', b'OK\r\n"SASL" "PLAIN"\r\n'],
            "between STARTTLS and TLS",
            id="words put in before TLS",
        ),
        pytest.param([b'"' + b"x" * 3_000_000], "without end", id="an endless line"),
        pytest.param(
            [b"{999999999999}\r\n" + b"x" * 3_000_000], "without end", id="a huge literal"
        ),
        pytest.param([b"\xff\xfe\r\n \r\nOK\r\n"], ".", id="bytes of no meaning"),
    ],
)
async def test_no_password_is_told_to_a_server_that_breaks_the_protocol(
    mail_pair: MailPair, server_says: Script, why: str
) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, words in enumerate(server_says):
            if number:
                heard.append(await reader.readline())
            writer.write(words)
        writer.close()
        heard.append(await reader.read())

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = SieveClient(SieveServer("127.0.0.1", port), mail_pair.tls())
    with pytest.raises(NONSENSE, match=why):
        await asyncio.to_thread(client.open, "ann@one.test", "a-secret")
    client.close()
    server.close()
    assert not any(b"AUTHENTICATE" in words for words in heard)
