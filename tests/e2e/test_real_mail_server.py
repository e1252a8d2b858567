"""Postfix and Dovecot as the provider: a mail goes out by submission, a reply by swaks is detected."""

import asyncio
import email
import email.policy
import subprocess
import uuid
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest

from tests.support.mailpair import MailPair
from tests.support.platform import Platform

_PASSWORD = "a password of this test"
_SENDER, _LEAD = "sales@sender.test", "bob@customer.test"


@pytest.mark.timeout(180)
@pytest.mark.seed("S21", "S181", "S182", "S185", "S186", "S211", "S233", "S234")
def test_a_mail_goes_out_through_postfix_and_its_reply_is_detected(tmp_path: Path) -> None:
    if missing := MailPair.missing():
        pytest.skip(missing)
    mailboxes = {_SENDER: _PASSWORD, _LEAD: _PASSWORD}
    with MailPair(["sender.test", "customer.test"], mailboxes) as pair:
        env = {"POSTFLEET_TLS_CA_FILE": str(pair.ca_file)}
        with Platform(tmp_path / "data", env=env) as up:
            up.wait_for("is ready", 60)
            refused = _register(up, pair, password="wrong")
            assert refused.status_code == 422
            assert refused.json()["code"] == "AUTH_FAILED"
            with up.api() as api:
                assert api.get("/sender-accounts").json()["items"] == [], "nothing is stored"

            sender = _register(up, pair, password=_PASSWORD)
            assert sender.status_code == 201, sender.text
            assert sender.json()["validation"]["smtp"]["ok"]
            assert sender.json()["validation"]["imap"]["ok"]
            campaign = _start_campaign(up, sender.json()["id"])

            [raw] = pair.wait_messages(_LEAD, 1, timeout=30)
            mail = email.message_from_bytes(raw, policy=email.policy.default)
            assert mail["From"].addresses[0].addr_spec == _SENDER
            assert mail["Subject"] == "Hello Bob"
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert "ESMTPSA" in "".join(mail.get_all("Received", [])), "STARTTLS and AUTH were used"

            _reply_with_swaks(pair, str(mail["Message-ID"]))
            reply = asyncio.run(_reply_event(up.nats_url))
            assert reply["recipient"] == _LEAD
            assert reply["campaign_id"] == campaign
            assert "Yes, tell me more." in reply["text"]
            with up.api() as api:
                path = f"/deliveries/{reply['delivery_id']}"
                up.wait_until(lambda: api.get(path).json()["replied_at"], 10, "replied_at")
                decisions = api.get(f"{path}/decisions").json()
                assert decisions["attempts"][0]["outcome"] == "accepted"
                assert decisions["plans"][0]["eligible"] == [sender.json()["id"]]
            assert up.stop() == 0


def _register(up: Platform, pair: MailPair, password: str) -> Any:
    form = {
        "email_address": _SENDER,
        "display_name": "Sales Team at Company",
        "inbox_type": "CUSTOM_SMTP",
        "daily_limit": 50,
        "smtp_host": "localhost",
        "smtp_port": pair.submission_port,
        "smtp_username": _SENDER,
        "smtp_password": password,
        "smtp_use_tls": True,
        "smtp_security": "starttls",
        "imap_host": "localhost",
        "imap_port": pair.imaps_port,
        "imap_username": _SENDER,
        "imap_password": password,
        "imap_use_ssl": True,
    }
    with up.api() as api:
        return api.post("/sender-accounts", json=form)


def _start_campaign(up: Platform, sender_id: str) -> str:
    body = {
        "name": "First",
        "senders": [sender_id],
        "steps": [
            {"subject": "Hello {{ name }}", "body_text": "Are you interested, {{ name }}?\n"},
            {"delay": "P1D", "subject": "", "body_text": "Still interested?\n"},
        ],
        "postal_address": "1 Example Street",
    }
    with up.api() as api:
        campaign = api.post("/campaigns", json=body)
        assert campaign.status_code == 201, campaign.text
        campaign_id = str(campaign.json()["id"])
        report = api.post(f"/campaigns/{campaign_id}/leads", json=[{"email": _LEAD, "name": "Bob"}])
        assert report.json()["imported"] == 1
        api.post(f"/campaigns/{campaign_id}/start").raise_for_status()
    return campaign_id


def _reply_with_swaks(pair: MailPair, message_id: str) -> None:
    command = [
        *("swaks", "--server", "127.0.0.1", "--port", str(pair.smtp_port)),
        *("--from", _LEAD, "--to", _SENDER, "--header", "Subject: Re: Hello Bob"),
        *(
            "--add-header",
            f"In-Reply-To: {message_id}",
            "--add-header",
            f"References: {message_id}",
        ),
        *("--add-header", f"Message-ID: <{uuid.uuid4().hex}@customer.test>"),
        *("--body", "Yes, tell me more.\n\nOn Monday Sales wrote:\n> Are you interested, Bob?\n"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def _reply_event(url: str) -> dict[str, Any]:
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        subscription = await stream.subscribe("reply.detected", ordered_consumer=True)
        message = await subscription.next_msg(timeout=20)
        body: dict[str, Any] = orjson.loads(message.data)
        return body
    finally:
        await client.close()
