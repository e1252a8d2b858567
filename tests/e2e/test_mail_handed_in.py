"""`postfleet up`: a sender is registered, a program hands a mail in with its log-in, it arrives once."""

import smtplib
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.platform import Platform

ANN = "ann@fleet.test"
BOB = "accept+bob@people.test"


def _register(up: Platform) -> dict[str, Any]:
    """The sender with its log-in, in the mail world and in the registry."""
    where = up.endpoints()
    account = {"address": ANN, "password": "of the provider", "saves_sent": True}
    control = f"http://127.0.0.1:{where['control_port']}/accounts"
    assert httpx.post(control, json=account, trust_env=False).is_success
    form = {
        "email_address": ANN,
        "smtp_host": "localhost",
        "smtp_port": where["smtp_port"],
        "smtp_password": "of the provider",
        "access_methods": ["smtp"],
        "smtp_authentication": "user",
    }
    with up.api() as api:
        answer = api.post("/sender-accounts", json=form)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made["relay"]


def _arrived(up: Platform) -> list[Any]:
    return [r for r in up.sandbox("/ledger") if (r["kind"], r["recipient"]) == ("accepted", BOB)]


@pytest.mark.seed("S269", "S270", "S272", "S278", "S283", "S285")
def test_what_the_registration_answers_is_all_a_program_needs(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", sandbox=True) as up:
        up.wait_for("Postfleet is ready", 120)
        relay = _register(up)
        (port,) = [one["port"] for one in relay["ports"]]
        trusted = ssl.create_default_context(cafile=str(up.data / "tls" / "smtp.pem"))
        with smtplib.SMTP(relay["hosts"][0], port, timeout=20) as client:
            client.starttls(context=trusted)
            client.login(relay["login"], relay["password"])
            mail = f"From: Ann <{ANN}>\r\nTo: {BOB}\r\nSubject: Hello\r\n\r\nHi\r\n"
            assert client.sendmail(ANN, [BOB], mail) == {}
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("somebody@fleet.test", [BOB], mail)
        up.wait_until(lambda: bool(_arrived(up)), 60, "the mail")
        assert len(_arrived(up)) == 1
        with up.api() as api:
            sent = api.post("/messages", json={"to": BOB, "from": ANN, "subject": "2", "text": "b"})
            assert sent.status_code == 202, sent.text
            up.wait_until(lambda: len(_arrived(up)) == 2, 60, "the second mail")
            shown = api.get(f"/messages/{sent.json()['id']}").json()
        assert shown["deliveries"][0]["recipient"] == BOB
