"""/relays: a real submission server plays the relay."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult

from tests.support.mailpair import MailPair
from tests.support.ports import free_ports
from tests.support.provisioner import Service, Start

MAP, PASSWORDS = "postfix-relaymap.cf", "postfix-sasl-password.cf"

pytestmark = pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")


@pytest.fixture
async def service(start: Start, mail_pair: MailPair) -> AsyncIterator[Service]:
    mail_pair.add_mailbox("relay@one.test", "secret")
    async with start(tls_ca_file=str(mail_pair.ca_file)) as service:
        yield service


def wanted(pair: MailPair, domain: str, **change: Any) -> dict[str, Any]:
    known = {"domain": domain, "host": "127.0.0.1", "port": pair.submission_port}
    return {**known, "username": "relay@one.test", "password": "secret", **change}


@pytest.mark.seed("S55", "S103", "S104", "S106")
async def test_a_relay_is_tried_then_written_and_taken_away_again(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    assert service.lines(MAP) == []  # without one, mail goes directly
    made = await service.post("/relays", **wanted(mail_pair, domain))
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "written"
    assert "secret" not in made.text
    assert service.lines(MAP) == [f"@{domain} [127.0.0.1]:{mail_pair.submission_port}"]
    assert service.lines(PASSWORDS) == [f"@{domain} relay@one.test:secret"]
    assert (service.config / PASSWORDS).stat().st_mode & 0o777 == 0o600
    again = await service.post("/relays", **wanted(mail_pair, domain))
    assert (again.status_code, again.json()["code"]) == (409, "RELAY_EXISTS")
    assert (await service.http.get("/relays")).json()["items"] == [made.json()]

    assert (await service.http.delete(f"/relays/{domain}")).json()["state"] == "removed"
    assert service.lines(MAP) == service.lines(PASSWORDS) == []
    assert (await service.http.get(f"/relays/{domain}")).status_code == 404


@pytest.mark.seed("S107")
@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"port": 465}, "port", "RELAY_WITHOUT_STARTTLS"),
        ({"preset": "nobody"}, "preset", "UNKNOWN_PRESET"),
        ({"preset": "ses", "host": ""}, "region", "MISSING"),
        ({"host": "a b"}, "host", "INVALID_HOST"),
        ({"password": ""}, "password", "MISSING"),
        ({"password": "two words"}, "password", "NOT_ALLOWED"),
        ({"username": "a:b"}, "username", "NOT_ALLOWED"),
        ({"password": "wrong"}, "password", "RELAY_LOGIN_REFUSED"),
        ({"port": 1}, "host", "RELAY_UNREACHABLE"),
    ],
)
async def test_a_relay_that_does_not_work_is_refused_and_nothing_is_stored(
    service: Service, mail_pair: MailPair, change: dict[str, Any], field: str, code: str
) -> None:
    domain = await service.domain()
    refused = await service.post("/relays", **wanted(mail_pair, domain, **change))
    assert refused.status_code == 422
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, code)]
    assert (await service.http.get("/relays")).json()["items"] == []
    assert service.lines(MAP) == service.lines(PASSWORDS) == []


@pytest.fixture
def plain_server() -> Iterator[int]:
    """A mail server that offers no STARTTLS."""
    (port,) = free_ports(1)
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


async def test_a_relay_without_starttls_is_refused(
    service: Service, mail_pair: MailPair, plain_server: int
) -> None:
    domain = await service.domain()
    body = wanted(mail_pair, domain, port=plain_server, username="", password="")
    refused = await service.post("/relays", **body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "RELAY_WITHOUT_STARTTLS"


class _Refusing(Controller):
    def __init__(self, port: int, pair: MailPair) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pair.places.certificate, pair.places.key)
        super().__init__(Sink(), hostname="127.0.0.1", port=port)

    def factory(self) -> SMTP:
        def refuse(*_: Any) -> AuthResult:
            text = "534 5.7.9 Please log in via your web browser and then try again."
            return AuthResult(success=False, handled=False, message=text)

        return SMTP(self.handler, tls_context=self._tls, authenticator=refuse)


@pytest.mark.seed("S114")
async def test_googles_refusal_is_explained(service: Service, mail_pair: MailPair) -> None:
    (port,) = free_ports(1)
    controller = _Refusing(port, mail_pair)
    controller.start()
    try:
        domain = await service.domain()
        refused = await service.post("/relays", **wanted(mail_pair, domain, port=port))
    finally:
        controller.stop()
    error = refused.json()["errors"][0]
    assert error["code"] == "RELAY_LOGIN_REFUSED"
    assert "app password" in error["message"]


@pytest.mark.seed("S55", "S108", "S109", "S110", "S111", "S112", "S113", "S114", "S115")
async def test_the_presets_know_what_is_to_do_at_each_provider(service: Service) -> None:
    items = (await service.http.get("/relays/presets")).json()["items"]
    hints = {item["name"]: " ".join(item["hints"]) for item in items}
    assert {"ses", "sendgrid", "postmark", "mailgun", "google", "office365", "custom"} == set(hints)
    for words in ("unchecked", "DNS records", "IAM user", "ses:SendRawEmail", "500", "test-email"):
        assert words in hints["ses"]
    assert "app password" in hints["google"]
    assert "static IP" in hints["office365"]
    assert "port 25" in hints["office365"]


@pytest.mark.seed("S154", "C20")
async def test_a_strict_dmarc_policy_and_a_relay_come_with_a_warning(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    made = await service.post("/relays", **wanted(mail_pair, domain))
    assert "DMARC policy is reject" in made.json()["warnings"][0]
    await service.http.patch(f"/domains/{domain}", json={"dmarc": {"policy": "none"}})
    assert (await service.http.get(f"/relays/{domain}")).json()["warnings"] == []


async def test_a_relay_by_hand_is_kept_and_ours_waits(
    service: Service, mail_pair: MailPair
) -> None:
    domain = await service.domain()
    by_hand = f"@{domain} [mine.test]:587\n"
    service.config.mkdir(exist_ok=True)
    (service.config / MAP).write_text(by_hand)
    made = (await service.post("/relays", **wanted(mail_pair, domain))).json()
    assert (made["state"], made["error"]["code"]) == ("writing", "CHANGED_BY_HAND")
    assert (service.config / MAP).read_text() == by_hand


@pytest.mark.seed("S63", "S131", "S133")
async def test_a_blocked_sender_is_refused_at_once_and_others_are_not(
    start: Start, mail_pair: MailPair
) -> None:
    async with start(config_dir=mail_pair.config_dir) as service:
        for entry in ("evil@spam.test", "worse.test"):
            made = await service.post("/blocklists", entry=entry, reason="no thanks")
            assert (made.status_code, made.json()["state"]) == (201, "written")
            assert "no restart" in made.json()["live"]
        mail_pair.add_mailbox("blocked@one.test", "secret")

        def send(reverse_path: str) -> None:
            with smtplib.SMTP("127.0.0.1", mail_pair.smtp_port, "outside.test") as client:
                client.sendmail(reverse_path, ["blocked@one.test"], "Subject: x\r\n\r\nx\r\n")

        for refused in ("evil@spam.test", "anybody@worse.test"):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
                await asyncio.to_thread(send, refused)
            assert b"no thanks" in error.value.recipients["blocked@one.test"][1]
        await asyncio.to_thread(send, "good@spam.test")
        for entry in ("evil@spam.test", "worse.test"):
            gone = await service.http.delete(f"/blocklists/{entry}")
            assert gone.json()["state"] == "removed"
        await asyncio.to_thread(send, "evil@spam.test")


@pytest.mark.seed("S130", "S132", "S133")
async def test_a_blocked_network_is_in_the_volume_and_wakes_the_mail_server(
    service: Service,
) -> None:
    made = await service.post("/blocklists", entry="192.0.2.9/24")
    assert (made.json()["entry"], made.json()["kind"]) == ("192.0.2.0/24", "network")
    assert service.lines("postfleet/ip-access") == ["192.0.2.0/24 reject"]
    (revision,) = service.lines("postfix-regexp.cf")
    assert (await service.http.get("/blocklists/192.0.2.0/24")).json() == made.json()
    again = await service.post("/blocklists", entry="192.0.2.0/24")
    assert (again.status_code, again.json()["code"]) == (409, "BLOCKED_ALREADY")
    await service.http.delete("/blocklists/192.0.2.0/24")
    assert service.lines("postfleet/ip-access") == []
    assert service.lines("postfix-regexp.cf") != [revision]


async def test_a_full_disk_leaves_a_block_waiting_and_it_comes_when_there_is_room(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mail_provisioner.upkeep._EVERY", 0.2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with start() as service:
        with monkeypatch.context() as disk:
            disk.setattr("mail_provisioner.volume.os.fsync", full)
            made = (await service.post("/blocklists", entry="spam.test")).json()
            assert (made["state"], made["error"]["code"]) == ("writing", "CONFIG_NOT_WRITABLE")

        async def written() -> bool:
            return service.lines("postfix-send-access.cf") == ["spam.test REJECT not accepted here"]

        await service.eventually(written)
