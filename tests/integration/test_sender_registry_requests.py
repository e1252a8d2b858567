"""Senders are created, changed and deleted by requests that are validated first."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from postfleet.api_keys import hash_key
from postfleet.instants import now_ms
from postfleet.mongo import Mongo
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    KEYS,
    Registry,
    documents,
    registry,
    settings,
    until,
)

REQUESTS = "/api/public/v1/sender-requests"
APPROVAL = pytest.mark.parametrize("running", [{"require_approval": True}], indirect=True)


@pytest.fixture
async def running(
    request: pytest.FixtureRequest,
    nats_server: NatsServer,
    mongo_server: MongoServer,
    mail_pair: MailPair,
) -> AsyncIterator[Registry]:
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    configuration = settings(
        nats_server.url,
        mongo_server.url,
        prefix,
        tls_ca_file=str(mail_pair.ca_file),
        **getattr(request, "param", {}),
    )
    async with registry(configuration) as found:
        yield found


def account(pair: MailPair, **changes: Any) -> dict[str, Any]:
    address = f"{secrets.token_hex(6)}@one.test"
    pair.add_mailbox(address, "canary")
    return {
        "name": "Invoices",
        "description": "what is owed",
        "email_address": address,
        "smtp_host": "127.0.0.1",
        "smtp_port": pair.submission_port,
        "smtp_password": "canary",
        "access_methods": ["smtp", "campaign"],
        "smtp_authentication": "user",
        "bcc": "copies@one.test",
        "archive": "archive@one.test",
        "monthly_limit": 1000,
        **changes,
    }


async def submit(running: Registry, **request: Any) -> dict[str, Any]:
    answer = await running.http.post(REQUESTS, json=request)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def steps(request: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(step["step"], step["ok"]) for step in request["steps"]]


ALL = ["completeness", "eligibility", "compliance", "provisioning", "configuration", "access"]


@pytest.mark.seed("S256", "S260", "S261", "S262", "S263", "S264", "S265", "S266", "S268")
@pytest.mark.seed("S289", "S290", "S291", "S292", "S293", "S294", "S295")
async def test_a_request_that_is_valid_is_executed_and_tells_its_log_in_once(
    running: Registry, mail_pair: MailPair
) -> None:
    wanted = account(mail_pair)
    done = await submit(running, operation="create", account=wanted)
    assert done["state"] == "completed"
    assert steps(done) == [(name, True) for name in ALL]
    sender = done["sender"]
    for name in ("name", "description", "email_address", "bcc", "archive", "monthly_limit"):
        assert sender[name] == wanted[name]
    assert sender["access_methods"] == ["smtp", "campaign"]
    login = {"login": done["relay"]["login"], "hash": hash_key(done["relay"]["password"])}
    answer = await running.ask("rpc.relay.authenticate", login)
    assert answer["sender_id"] == done["sender_id"]
    shown = await running.http.get(f"{REQUESTS}/{done['id']}")
    assert shown.json()["state"] == "completed"
    assert done["relay"]["password"] not in shown.text
    assert "canary" not in shown.text + repr(await documents(running, "requests"))


@pytest.mark.parametrize(
    ("changes", "failing", "code"),
    [
        pytest.param({"name": ""}, "completeness", "MISSING", id="no name"),
        pytest.param({"monthly_limit": None}, "completeness", "MISSING", id="no volume"),
        pytest.param({"smtp_authentication": None}, "completeness", "MISSING", id="no way in"),
        pytest.param({"daily_limit": 100_001}, "compliance", "ABOVE_PROVIDER", id="too many a day"),
        pytest.param(
            {"smtp_authentication": "ip"}, "compliance", "MISSING: allowed_ips", id="no network"
        ),
    ],
)
@pytest.mark.seed("S290", "S292", "S293")
async def test_a_request_that_fails_its_validation_executes_nothing(
    running: Registry, mail_pair: MailPair, changes: dict[str, Any], failing: str, code: str
) -> None:
    done = await submit(running, operation="create", account=account(mail_pair, **changes))
    assert done["state"] == "rejected"
    assert steps(done)[-1] == (failing, False)
    assert done["steps"][-1]["detail"].startswith(code)
    assert await documents(running, "senders") == []


@pytest.mark.seed("S291")
@pytest.mark.parametrize("running", [{"primary_domains": "acmecorp.com"}], indirect=True)
async def test_a_sender_of_another_domain_is_not_eligible(
    running: Registry, mail_pair: MailPair
) -> None:
    done = await submit(running, operation="create", account=account(mail_pair))
    assert (done["state"], steps(done)[-1]) == ("rejected", ("eligibility", False))
    assert done["steps"][-1]["detail"].startswith("NOT_PRIMARY_DOMAIN")


@pytest.mark.seed("S293")
async def test_a_log_in_that_fails_fails_the_execution(
    running: Registry, mail_pair: MailPair
) -> None:
    wrong = account(mail_pair, smtp_password="wrong")
    done = await submit(running, operation="create", account=wrong)
    assert (done["state"], steps(done)[-1]) == ("failed", ("provisioning", False))
    assert done["steps"][-1]["detail"].startswith("AUTH_FAILED")
    assert [d["form"] for d in await documents(running, "requests")] == [""]


@pytest.mark.seed("S260", "S273", "S274", "S276", "S277", "S301")
async def test_senders_are_changed_and_deleted_by_request(
    running: Registry, mail_pair: MailPair
) -> None:
    made = await submit(running, operation="create", account=account(mail_pair))
    id_ = made["sender_id"]
    changes = {
        "access_methods": ["campaign"],
        "smtp_authentication": None,
        "bcc": None,
        "archive": None,
        "monthly_limit": 5,
    }
    changed = await submit(running, operation="update", sender_id=id_, changes=changes)
    assert changed["state"] == "completed"
    shown = await running.show(id_)
    assert {name: shown[name] for name in changes} == changes
    unconfirmed = await submit(running, operation="delete", sender_id=id_)
    assert (unconfirmed["state"], steps(unconfirmed)[-1]) == ("rejected", ("compliance", False))
    address = shown["email_address"]
    gone = await submit(running, operation="delete", sender_id=id_, confirm=address)
    assert gone["state"] == "completed"
    assert (await running.http.get(f"{ACCOUNTS}/{id_}")).status_code == 404
    again = await submit(running, operation="delete", sender_id=id_, confirm=address)
    assert steps(again)[-1] == ("eligibility", False)


@APPROVAL
@pytest.mark.seed("S260", "S296", "C30")
async def test_a_request_waits_for_its_approval_and_is_executed_once(
    running: Registry, mail_pair: MailPair
) -> None:
    waiting = await submit(running, operation="create", account=account(mail_pair))
    assert (waiting["state"], waiting["overdue"]) == ("awaiting_approval", False)
    assert waiting["due_at"] > waiting["created_at"]
    assert steps(waiting) == [(name, True) for name in ALL[:3]]
    assert await documents(running, "senders") == []
    assert "canary" not in repr(await documents(running, "requests"))
    path = f"{REQUESTS}/{waiting['id']}/approve"
    answers = await asyncio.gather(*(running.http.post(path) for _ in range(3)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409]
    done = next(a.json() for a in answers if a.status_code == 200)
    assert (done["state"], done["approved_by"]) == ("completed", "key bootstrap")
    assert done["relay"]["password"]
    assert len(await documents(running, "senders")) == 1


@pytest.mark.seed("S260", "C30")
async def test_whoever_may_not_administrate_waits_for_somebody_who_may(
    running: Registry, mail_pair: MailPair
) -> None:
    key = (await running.http.post(KEYS, json={"scopes": ["send"]})).json()["key"]
    body = {"operation": "create", "account": account(mail_pair)}
    answer = await running.http.post(REQUESTS, json=body, headers={"X-API-Key": key})
    assert answer.json()["state"] == "awaiting_approval"
    path = f"{REQUESTS}/{answer.json()['id']}/approve"
    refused = await running.http.post(path, headers={"X-API-Key": key})
    assert refused.status_code == 403
    assert (await running.http.post(path)).json()["state"] == "completed"
    listed = (await running.http.get(REQUESTS)).json()["items"]
    assert [r["state"] for r in listed] == ["completed"]
    assert (await running.http.get(f"{REQUESTS}/nobody")).status_code == 404


@pytest.mark.seed("S296", "C30")
@APPROVAL
async def test_a_request_that_waits_beyond_its_working_day_is_told_once_and_counted(
    running: Registry, mail_pair: MailPair
) -> None:
    waiting = await submit(running, operation="create", account=account(mail_pair))
    path = f"{REQUESTS}/{waiting['id']}"
    assert (waiting["overdue"], waiting["breached_at"]) == (False, None)
    await _make_late(running, waiting["id"])
    told = await running.event("sender_request.sla_breached")
    assert (told["request_id"], told["operation"]) == (waiting["id"], "create")
    assert (told["state"], told["requested_by"]) == ("awaiting_approval", waiting["requested_by"])
    shown = (await running.http.get(path)).json()
    assert shown["overdue"]
    assert datetime.fromisoformat(shown["due_at"]) == datetime.fromisoformat(told["due_at"])
    assert shown["breached_at"] is not None
    await _until_metric(running, "postfleet_sender_requests_overdue", 1)
    done = (await running.http.post(f"{path}/approve")).json()
    assert (done["state"], done["overdue"]) == ("completed", False)
    assert done["breached_at"] == shown["breached_at"]  # it stays known that it was late
    await _until_metric(running, "postfleet_sender_requests_overdue", 0)
    await _until_metric(running, "postfleet_sender_requests_open", 0)
    assert len(running.events("sender_request.sla_breached")) == 1
    assert "canary" not in repr(running.events("sender_request.sla_breached"))


async def _make_late(running: Registry, request_id: str) -> None:
    """The day passes: what is due then, was due an hour ago."""
    mongo = Mongo(
        running.configuration.mongodb_url, "sender-registry", running.configuration.database_prefix
    )
    late = {"$set": {"due_at": now_ms() - 3_600_000}}
    await mongo.database["requests"].update_one({"_id": request_id}, late)
    await mongo.close()


async def _until_metric(running: Registry, name: str, value: float) -> None:
    async def found() -> bool:
        return f"{name} {float(value)}" in (await running.http.get("/metrics")).text

    await until(found, f"{name} is {value}")
