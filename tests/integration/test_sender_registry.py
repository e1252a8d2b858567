"""Senders are registered against a real Postfix and Dovecot, kept in MongoDB, told over NATS."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    Registry,
    master_ring,
    registry,
    settings,
)

PASSWORD = 'canary "pass\\word" ünïcode'


@pytest.fixture(scope="module")
def own_nats() -> Iterator[NatsServer]:
    if reason := NatsServer.missing():
        pytest.skip(reason)
    with NatsServer() as server:
        yield server


@pytest.fixture
def prefix(mongo_server: MongoServer) -> str:
    return mongo_server.database(f"{secrets.token_hex(4)}_")


@pytest.fixture
async def running(
    own_nats: NatsServer, mongo_server: MongoServer, mail_pair: MailPair, prefix: str
) -> AsyncIterator[Registry]:
    configuration = settings(
        own_nats.url, mongo_server.url, prefix, tls_ca_file=str(mail_pair.ca_file)
    )
    async with registry(configuration) as found:
        yield found


def account(mail_pair: MailPair, **changes: Any) -> dict[str, Any]:
    """A request for a mailbox that exists."""
    address = f"{secrets.token_hex(6)}@one.test"
    mail_pair.add_mailbox(address, PASSWORD)
    mail_pair.wait_login(address, PASSWORD) if PASSWORD.isascii() else None
    return {
        "email_address": address,
        "display_name": "Outreach Team",
        "inbox_type": "CUSTOM_SMTP",
        "daily_limit": 100,
        "smtp_host": "localhost",
        "smtp_port": mail_pair.submission_port,
        "smtp_username": address,
        "smtp_password": PASSWORD,
        "smtp_use_tls": True,
        "imap_host": "localhost",
        "imap_port": mail_pair.imaps_port,
        "imap_username": address,
        "imap_password": PASSWORD,
        "imap_use_ssl": True,
        **changes,
    }


@pytest.mark.seed("S11", "S21", "S211", "S212", "S230")
async def test_a_sender_whose_log_ins_work_is_stored_and_announced(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair)
    answer = await running.http.post(ACCOUNTS, json=request)
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert created["status"] == "ready"
    assert created["validation"]["smtp"]["ok"] is True
    assert created["validation"]["imap"]["ok"] is True
    event = await running.event("sender.created", created["id"])
    assert event["sender"]["email_address"] == request["email_address"]
    assert event["sender"]["status"] == "ready"
    assert event["sender"]["effective_limit"] == 30
    sealed = await running.ask(
        "rpc.sender.credentials", {"sender_id": created["id"], "protocol": "imap"}
    )
    opened = master_ring().open(
        sealed["sealed"], service="sender-registry", record=created["id"], name="imap_password"
    )
    assert opened == PASSWORD
    assert sealed["username"] == request["email_address"]
