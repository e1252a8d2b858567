"""Senders are registered against a real Postfix and Dovecot, kept in MongoDB, told over NATS."""

import logging
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from postfleet import instants
from postfleet.settings import load
from sender_registry.settings import Settings
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    API_KEY,
    KEYS,
    Registry,
    documents,
    master_ring,
    registry,
    settings,
    started,
    until,
)

PASSWORD = 'canary "pass\\word" ünïcode'


@pytest.fixture
def configuration(own_nats: NatsServer, mongo_server: MongoServer, mail_pair: MailPair) -> Settings:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    return settings(own_nats.url, mongo_server.url, prefix, tls_ca_file=str(mail_pair.ca_file))


@pytest.fixture
async def running(configuration: Settings) -> AsyncIterator[Registry]:
    async with registry(configuration) as found:
        yield found


def account(mail_pair: MailPair, **changes: Any) -> dict[str, Any]:
    """A request for a mailbox that exists."""
    address = f"{secrets.token_hex(6)}@one.test"
    mail_pair.add_mailbox(address, PASSWORD)
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


async def register(running: Registry, request: dict[str, Any]) -> dict[str, Any]:
    answer = await running.http.post(ACCOUNTS, json=request)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def credentials(running: Registry, sender_id: str, protocol: str = "smtp") -> dict[str, Any]:
    return await running.ask(
        "rpc.sender.credentials", {"sender_id": sender_id, "protocol": protocol}
    )


@pytest.mark.seed("S11", "S21", "S211", "S212", "S230", "S268", "S269", "S270")
async def test_a_sender_whose_log_ins_work_is_stored_and_announced(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair)
    created = await register(running, request)
    assert created["status"] == "ready"
    assert created["validation"]["smtp"]["ok"] is True
    assert created["validation"]["imap"]["ok"] is True
    event = await running.event("sender.created", created["id"])
    assert event["sender"]["email_address"] == request["email_address"]
    assert event["sender"]["status"] == "ready"
    assert event["sender"]["effective_limit"] == 30
    assert event["sender"]["smtp"]["security"] == "starttls"
    shown = await running.show(created["id"])
    assert (shown["effective_limit"], shown["binding_limit"]) == (30, "age")
    assert (shown["health"], shown["sent_today"], shown["reply_detection"]) == (100, 0, True)


async def test_its_event_is_a_cloud_event(running: Registry, mail_pair: MailPair) -> None:
    created = await register(running, account(mail_pair))
    await running.event("sender.created", created["id"])
    headers = next(h for s, b, h in running.said if b["sender_id"] == created["id"])
    assert headers["ce-type"] == "sender.created"
    assert headers["ce-source"] == "/sender-registry"
    assert headers["ce-subject"] == created["id"]
    assert headers["ce-id"] == headers["Nats-Msg-Id"]


@pytest.mark.seed("S23", "S24")
@pytest.mark.parametrize("protocol", ["smtp", "imap"])
async def test_credentials_are_answered_sealed(
    running: Registry, mail_pair: MailPair, protocol: str
) -> None:
    request = account(mail_pair)
    created = await register(running, request)
    answer = await credentials(running, created["id"], protocol)
    opened = master_ring().open(
        answer["sealed"],
        service="sender-registry",
        record=created["id"],
        name=f"{protocol}_password",
    )
    assert opened == PASSWORD
    assert set(answer) == {"sender_id", "protocol", "sealed", "username"}
    assert answer["username"] == request["email_address"]


@pytest.mark.seed("S22", "S239")
async def test_after_a_wrong_password_nothing_is_stored(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair, smtp_password="wrong")
    answer = await running.http.post(ACCOUNTS, json=request)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "AUTH_FAILED")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["validation"]["smtp"]["code"] == "AUTH_FAILED"
    assert problem["validation"]["imap"]["ok"] is True
    assert (await running.http.get(ACCOUNTS)).json()["items"] == []
    assert await documents(running, "senders") == []
    assert running.events("sender.created") == []


@pytest.mark.seed("S244")
async def test_after_a_refused_connection_nothing_is_stored(
    running: Registry, mail_pair: MailPair
) -> None:
    [port] = free_ports(1)
    answer = await running.http.post(ACCOUNTS, json=account(mail_pair, smtp_port=port))
    assert (answer.status_code, answer.json()["code"]) == (422, "CONNECTION_REFUSED")
    assert await documents(running, "senders") == []


@pytest.mark.seed("S33", "S230", "C2")
async def test_a_failing_imap_restricts_until_it_is_mended(
    running: Registry, mail_pair: MailPair
) -> None:
    created = await register(running, account(mail_pair, imap_password="wrong"))
    assert (created["status"], created["status_code"]) == ("restricted", "AUTH_FAILED")
    assert (created["reply_detection"], created["validation"]["smtp"]["ok"]) == (False, True)
    patch = {"imap_password": PASSWORD}
    answer = await running.http.patch(f"{ACCOUNTS}/{created['id']}", json=patch)
    assert (answer.json()["status"], answer.json()["reply_detection"]) == ("ready", True)
    event = await running.event("sender.ready", created["id"])
    assert event["sender"]["status"] == "ready"


@pytest.mark.seed("S19")
async def test_without_imap_a_sender_is_ready_and_sees_no_replies(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair)
    without = {name: value for name, value in request.items() if not name.startswith("imap_")}
    created = await register(running, without)
    assert (created["status"], created["reply_detection"]) == ("ready", False)
    assert created["validation"]["imap"] is None
    assert "error" in await credentials(running, created["id"], "imap")


@pytest.mark.seed("S16", "S227")
async def test_implicit_tls_works_as_well(running: Registry, mail_pair: MailPair) -> None:
    request = account(mail_pair, smtp_port=mail_pair.submissions_port, smtp_security="implicit")
    created = await register(running, request)
    assert (created["status"], created["smtp_security"]) == ("ready", "implicit")


async def test_the_same_address_twice_is_a_conflict(running: Registry, mail_pair: MailPair) -> None:
    request = account(mail_pair)
    await register(running, request)
    again = {**request, "email_address": request["email_address"].upper()}
    answer = await running.http.post(ACCOUNTS, json=again)
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"daily_limit": 100_001}, "daily_limit"),
        ({"inbox_type": "GOOGLE_WORKSPACE", "daily_limit": 2001}, "daily_limit"),
        ({"colour": "red"}, "colour"),
        ({"email_address": "nobody"}, "email_address"),
    ],
)
async def test_bad_input_is_refused_by_field(
    running: Registry, mail_pair: MailPair, changes: dict[str, Any], field: str
) -> None:
    answer = await running.http.post(ACCOUNTS, json=account(mail_pair, **changes))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert "canary" not in answer.text


async def test_an_idempotency_key_gives_the_same_answer_twice(
    running: Registry, mail_pair: MailPair
) -> None:
    request, headers = account(mail_pair), {"Idempotency-Key": "one"}
    first = await running.http.post(ACCOUNTS, json=request, headers=headers)
    second = await running.http.post(ACCOUNTS, json=request, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]


async def test_lists_come_in_pages(running: Registry, mail_pair: MailPair) -> None:
    made = [(await register(running, account(mail_pair)))["id"] for _ in range(3)]
    first = (await running.http.get(ACCOUNTS, params={"limit": 2})).json()
    rest = (
        await running.http.get(ACCOUNTS, params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert [s["id"] for s in first["items"] + rest["items"]] == made
    assert rest["next_cursor"] is None


@pytest.mark.seed("S276", "S277")
async def test_settings_are_changed_and_told(running: Registry, mail_pair: MailPair) -> None:
    created = await register(running, account(mail_pair, account_age_days=400))
    patch = {"monthly_limit": 10, "tags": ["vip"], "warmup_mode": True}
    answer = await running.http.patch(f"{ACCOUNTS}/{created['id']}", json=patch)
    changed = answer.json()
    assert (changed["effective_limit"], changed["binding_limit"]) == (5, "warmup")
    nothing = {"date": None, "sent": 0, "refused": 0, "received": 0, "in_junk": 0}
    assert changed["warmup"] == {"day": 1, "volume": 5, "course": "growing", "latest": nothing}
    assert (changed["status"], changed["tags"]) == ("warmup", ["vip"])
    event = await running.event("sender.updated", created["id"])
    assert set(event["changed"]) == {
        "monthly_limit", "tags", "warmup_mode", "status", "effective_limit"
    }  # fmt: skip
    assert event["sender"]["warmup_mode"] is True


async def test_a_new_password_that_does_not_work_changes_nothing(
    running: Registry, mail_pair: MailPair
) -> None:
    created = await register(running, account(mail_pair))
    before = await credentials(running, created["id"])
    patch = {"smtp_password": "wrong"}
    answer = await running.http.patch(f"{ACCOUNTS}/{created['id']}", json=patch)
    assert (answer.status_code, answer.json()["code"]) == (422, "AUTH_FAILED")
    assert await credentials(running, created["id"]) == before
    assert (await running.show(created["id"]))["revision"] == 1


async def test_a_log_in_that_stopped_working_restricts_when_it_is_tested(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair)
    created = await register(running, request)
    mail_pair.add_mailbox(request["email_address"], "another")
    answer = await running.http.post(f"{ACCOUNTS}/{created['id']}/validate")
    tested = answer.json()
    assert (answer.status_code, tested["validation"]["smtp"]["code"]) == (200, "AUTH_FAILED")
    assert tested["status"] == "restricted"
    event = await running.event("sender.restricted", created["id"])
    assert event["code"] == "AUTH_FAILED"


@pytest.mark.seed("S308")
async def test_a_suspended_sender_gets_no_credentials_until_it_is_resumed(
    running: Registry, mail_pair: MailPair
) -> None:
    created = await register(running, account(mail_pair))
    path = f"{ACCOUNTS}/{created['id']}"
    answer = await running.http.post(f"{path}/suspend", json={"reason": "complaints"})
    assert answer.json()["status"] == "restricted"
    assert "suspended" in (await credentials(running, created["id"]))["error"]
    assert (await running.event("sender.suspended", created["id"]))["reason"] == "complaints"
    await running.http.post(f"{path}/suspend")
    assert (await running.http.post(f"{path}/resume")).json()["status"] == "ready"
    assert "sealed" in await credentials(running, created["id"])
    await running.event("sender.resumed", created["id"])
    assert len(running.events("sender.suspended", created["id"])) == 1


@pytest.mark.seed("S273", "S274", "S301")
async def test_deletion_needs_confirmation_and_is_for_good(
    running: Registry, mail_pair: MailPair
) -> None:
    request = account(mail_pair)
    created = await register(running, request)
    path = f"{ACCOUNTS}/{created['id']}"
    for wrong in ({}, {"confirm": "other@one.test"}):
        assert (await running.http.delete(path, params=wrong)).status_code == 422
    confirm = {"confirm": request["email_address"]}
    assert (await running.http.delete(path, params=confirm)).status_code == 204
    assert (await running.http.get(path)).status_code == 404
    assert (await running.http.post(f"{path}/resume")).status_code == 404
    assert "error" in await credentials(running, created["id"])
    event = await running.event("sender.deleted", created["id"])
    assert event["sender"]["deleted"] is True
    [tombstone] = await documents(running, "senders")
    assert tombstone["secrets"] == {}
    assert (await register(running, request))["id"] != created["id"]


@pytest.mark.seed("S25")
async def test_passwords_appear_nowhere(
    running: Registry, mail_pair: MailPair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        request = account(mail_pair)
        texts = [(await running.http.post(ACCOUNTS, json=request)).text]
        path = f"{ACCOUNTS}/{(await running.http.get(ACCOUNTS)).json()['items'][0]['id']}"
        broken = {**request, "smtp_port": "x", "smtp_username": {"canary": PASSWORD}}
        for answer in (
            await running.http.post(f"{path}/validate"),
            await running.http.patch(path, json={"smtp_password": PASSWORD}),
            await running.http.patch(path, json={"smtp_host": "no-such-host.invalid"}),
            await running.http.post(ACCOUNTS, json=request),
            await running.http.post(ACCOUNTS, json=broken),
            await running.http.get(ACCOUNTS),
        ):
            texts.append(answer.text)
        await running.event("sender.updated")
        await running.ask("rpc.sender.credentials", {"sender_id": path[-32:], "protocol": "smtp"})
    texts += [orjson.dumps(said).decode() for said in running.said]
    for collection in ("senders", "idempotency", "applied"):
        texts += [repr(document) for document in await documents(running, collection)]
    # The lines of the test's own HTTP and database clients would prove nothing about the service.
    texts += [r.getMessage() + repr(r.args) for r in caplog.records if r.name != "asyncio"]
    assert len(texts) > 10
    assert [text for text in texts if "canary" in text] == []


@pytest.mark.seed("S212")
async def test_api_keys_are_shown_once_and_kept_as_hashes(running: Registry) -> None:
    headers = {"Idempotency-Key": "key"}
    answer = await running.http.post(KEYS, json={"name": "ci", "scopes": ["read"]}, headers=headers)
    made = answer.json()
    assert answer.status_code == 201
    again = await running.http.post(KEYS, json={"name": "ci", "scopes": ["read"]}, headers=headers)
    assert (again.status_code, again.json()) == (201, made), "its own answer is lost with the line"
    reading = {"X-API-Key": made["key"]}
    assert (await running.http.get(ACCOUNTS, headers=reading)).status_code == 200
    assert (await running.http.post(ACCOUNTS, json={}, headers=reading)).status_code == 403
    assert (await running.http.get(ACCOUNTS, headers={"X-API-Key": "no"})).status_code == 401
    listed = (await running.http.get(KEYS)).json()["items"]
    assert [(k["id"], k["name"], k["scopes"]) for k in listed] == [(made["id"], "ci", ["read"])]
    stored = [await documents(running, name) for name in ("api_keys", "idempotency")]
    assert made["key"] not in repr(stored)
    assert made["key"] not in repr(listed)


async def test_a_key_may_have_an_end(running: Registry) -> None:
    past = {"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
    refused = await running.http.post(KEYS, json=past)
    assert refused.json()["errors"][0]["field"] == "expires_at"
    soon = (instants.now() + timedelta(seconds=0.5)).isoformat()
    made = (await running.http.post(KEYS, json={"scopes": ["read"], "expires_at": soon})).json()
    reading = {"X-API-Key": made["key"]}

    async def ended() -> bool:
        return (await running.http.get(ACCOUNTS, headers=reading)).status_code == 401

    assert not await ended()
    await until(ended, "the end of the key", 5)


async def test_other_services_learn_whose_a_key_is(running: Registry) -> None:
    made = (await running.http.post(KEYS, json={"scopes": ["send", "read"]})).json()
    [stored] = await documents(running, "api_keys")
    answer = await running.ask("rpc.api_key.verify", {"hash": stored["hash"]})
    assert answer == {"id": made["id"], "scopes": ["read", "send"]}
    assert await running.ask("rpc.api_key.verify", {"hash": "0" * 64}) == {"id": None}
    assert (await running.http.delete(f"{KEYS}/{made['id']}")).status_code == 204
    assert await running.ask("rpc.api_key.verify", {"hash": stored["hash"]}) == {"id": None}
    assert (await running.http.delete(f"{KEYS}/{made['id']}")).status_code == 404


async def test_it_is_alive_but_not_ready_while_its_servers_are_down() -> None:
    nats_port, mongo_port = free_ports(2)
    nowhere = settings(f"nats://127.0.0.1:{nats_port}", f"mongodb://127.0.0.1:{mongo_port}/", "x_")
    async with started(nowhere) as http:
        assert (await http.get("/healthz")).status_code == 200
        answer = await until(lambda: http.get("/readyz"), "an answer")
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "failing"


def test_settings_that_are_wrong_end_the_process_with_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NATS_URL", "MONGODB_URL", "MASTER_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POSTFLEET_API_KEY", API_KEY)
    monkeypatch.setenv("POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS", "10.0.0.0/33")
    with pytest.raises(SystemExit) as ended:
        load(Settings)
    assert ended.value.code == 78
    told = capsys.readouterr().err
    assert "MASTER_KEY: is not set" in told
    assert "POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS" in told
