"""Senders that log in with OAuth: against a provider that issues tokens, and a real Postfix and
Dovecot that ask it whether they are good."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from postfleet.secrets import CannotOpen
from tests.support.certificates import write_certificates
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.oauthprovider import CLIENT_ID, CLIENT_SECRET, OAuthProvider
from tests.support.ports import free_ports
from tests.support.webserver import web_server
from tests.unit.sender_registry.world import (
    ACCOUNTS,
    Registry,
    documents,
    master_ring,
    registry,
    settings,
    until,
)

[INTROSPECTION_PORT] = free_ports(1)


@pytest.fixture(scope="module")
def oauth_pair() -> Iterator[MailPair]:
    if reason := MailPair.missing():
        pytest.skip(reason)
    url = f"http://127.0.0.1:{INTROSPECTION_PORT}/introspect"
    with MailPair(domains=["one.test"], introspection_url=url) as pair:
        yield pair


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[tuple[OAuthProvider, str, Path]]:
    """The provider, its address and the authority that signed its certificate."""
    found = OAuthProvider()
    certificates = write_certificates(tmp_path, ["localhost"])
    async with (
        web_server(found.answer, None, INTROSPECTION_PORT),
        web_server(found.answer, certificates) as web,
    ):
        yield found, web.url, certificates[0]


@pytest.fixture
async def running(
    provider: tuple[OAuthProvider, str, Path],
    oauth_pair: MailPair,
    nats_server: NatsServer,
    mongo_server: MongoServer,
    tmp_path: Path,
) -> AsyncIterator[Registry]:
    _, url, authority = provider
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.read_bytes() + oauth_pair.ca_file.read_bytes())
    prefix = mongo_server.database(f"{secrets.token_hex(4)}_")
    configuration = settings(
        nats_server.url,
        mongo_server.url,
        prefix,
        tls_ca_file=str(trusted),
        google_client_id=CLIENT_ID,
        google_client_secret=CLIENT_SECRET,
        google_authorize_url=f"{url}/authorize",
        google_token_url=f"{url}/token",
    )
    async with registry(configuration) as found:
        yield found


def account(pair: MailPair, **changes: Any) -> dict[str, Any]:
    address = f"{secrets.token_hex(6)}@one.test"
    pair.add_mailbox(address, "canary password")
    return {
        "email_address": address,
        "inbox_type": "GOOGLE_WORKSPACE",
        "auth_method": "xoauth2",
        "smtp_host": "127.0.0.1",
        "smtp_port": pair.submission_port,
        "imap_host": "127.0.0.1",
        "imap_port": pair.imaps_port,
        **changes,
    }


async def connected(
    running: Registry, provider: OAuthProvider, request: dict[str, Any]
) -> dict[str, Any]:
    """Register as an account holder does: start, allow, come back."""
    started = await running.http.post(f"{ACCOUNTS}/oauth/start", json=request)
    assert started.status_code == 200, started.text
    url = started.json()["authorization_url"]
    params = provider.consent(url, request["email_address"])
    keyless = {"X-API-Key": ""}
    done = await running.http.get(f"{ACCOUNTS}/oauth/callback", params=params, headers=keyless)
    assert done.status_code == 200, done.text
    assert request["email_address"] in done.text
    listed = (await running.http.get(ACCOUNTS)).json()["items"]
    return next(s for s in listed if s["email_address"] == request["email_address"])


async def token(running: Registry, sender_id: str, protocol: str = "smtp") -> str:
    answer = await running.ask(
        "rpc.sender.credentials", {"sender_id": sender_id, "protocol": protocol}
    )
    assert answer["auth_method"] == "xoauth2", answer
    return master_ring().open(
        answer["sealed"],
        service="sender-registry",
        record=sender_id,
        name=f"{protocol}_password",
    )


Provider = tuple[OAuthProvider, str, Path]


@pytest.mark.seed("C34")
async def test_an_account_holder_allows_the_use_of_a_mailbox(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    sender = await connected(running, provider[0], account(oauth_pair))
    assert (sender["status"], sender["reply_detection"]) == ("ready", True)
    assert (sender["auth_method"], sender["oauth"]["provider"]) == ("xoauth2", "google")
    event = await running.event("sender.created", sender["id"])
    assert event["sender"]["smtp"]["auth_method"] == "xoauth2"
    assert event["sender"]["imap"]["auth_method"] == "xoauth2"
    for protocol in ("smtp", "imap"):
        assert (await token(running, sender["id"], protocol)).startswith("canary-access-")


async def test_a_grant_that_was_made_elsewhere_is_taken_as_well(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    request = account(oauth_pair)
    request["oauth"] = {"refresh_token": provider[0].grant(request["email_address"])}
    answer = await running.http.post(ACCOUNTS, json=request)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "ready"
    assert answer.json()["validation"]["imap"]["ok"] is True


async def test_the_token_of_another_mailbox_registers_nothing(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    request = account(oauth_pair)
    request["oauth"] = {"refresh_token": provider[0].grant("other@one.test")}
    answer = await running.http.post(ACCOUNTS, json=request)
    assert (answer.status_code, answer.json()["code"]) == (422, "AUTH_FAILED")
    assert await documents(running, "senders") == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "oauth"),
        ({"smtp_password": "x"}, "smtp_password"),
        ({"oauth": {"refresh_token": ""}}, "oauth.refresh_token"),
        ({"oauth": {"provider": "yahoo", "refresh_token": "x"}}, "oauth.provider"),
        ({"oauth": {"provider": "microsoft", "refresh_token": "x"}}, "oauth"),
        ({"inbox_type": "CUSTOM_SMTP", "oauth": {"refresh_token": "x"}}, "oauth"),
    ],
)
async def test_what_is_missing_for_oauth_is_named(
    running: Registry, oauth_pair: MailPair, changes: dict[str, Any], field: str
) -> None:
    answer = await running.http.post(ACCOUNTS, json=account(oauth_pair, **changes))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_an_authorization_can_be_finished_once(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    request = account(oauth_pair)
    started = await running.http.post(f"{ACCOUNTS}/oauth/start", json=request)
    params = provider[0].consent(started.json()["authorization_url"], request["email_address"])
    callback = f"{ACCOUNTS}/oauth/callback"
    answers = await asyncio.gather(*(running.http.get(callback, params=params) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404]
    assert (await running.http.get(callback, params={**params, "state": "x"})).status_code == 404
    refused = {"error": "access_denied", "state": "x"}
    assert (await running.http.get(callback, params=refused)).status_code == 422


async def test_a_code_without_its_verifier_is_worth_nothing(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    first, second = account(oauth_pair), account(oauth_pair)
    urls = [
        (await running.http.post(f"{ACCOUNTS}/oauth/start", json=r)).json()["authorization_url"]
        for r in (first, second)
    ]
    stolen = provider[0].consent(urls[0], first["email_address"])
    own = provider[0].consent(urls[1], second["email_address"])
    mixed = {"code": stolen["code"], "state": own["state"]}
    answer = await running.http.get(f"{ACCOUNTS}/oauth/callback", params=mixed)
    assert (answer.status_code, answer.json()["code"]) == (422, "AUTH_FAILED")
    assert await documents(running, "senders") == []


async def test_tokens_are_refreshed_before_they_end(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    provider[0].lifetime = 301  # due a second after it was given
    sender = await connected(running, provider[0], account(oauth_pair))
    first = await token(running, sender["id"])
    provider[0].lifetime = 3600

    async def renewed() -> bool:
        return await token(running, sender["id"]) != first

    await until(renewed, "a new token")
    assert await token(running, sender["id"]) == await token(running, sender["id"], "imap")
    assert (await running.http.post(f"{ACCOUNTS}/{sender['id']}/validate")).json()[
        "status"
    ] == "ready"
    assert provider[0].refreshes == 1


async def test_a_provider_that_is_down_restricts_nobody(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    sender = await connected(running, provider[0], account(oauth_pair))
    provider[0].broken = True
    request = account(oauth_pair)
    request["oauth"] = {"refresh_token": provider[0].grant(request["email_address"])}
    answer = await running.http.post(ACCOUNTS, json=request)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert (await running.show(sender["id"]))["status"] == "ready"


async def test_a_grant_that_was_taken_back_restricts_until_it_is_given_again(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    provider[0].lifetime = 301
    request = account(oauth_pair)
    sender = await connected(running, provider[0], request)
    provider[0].lifetime = 3600
    provider[0].revoke(request["email_address"])
    event = await running.event("sender.restricted", sender["id"])
    assert event["code"] == "AUTH_FAILED"
    again = await running.http.post(f"{ACCOUNTS}/{sender['id']}/oauth/start")
    params = provider[0].consent(again.json()["authorization_url"], request["email_address"])
    done = await running.http.get(f"{ACCOUNTS}/oauth/callback", params=params)
    assert done.status_code == 200
    assert (await running.show(sender["id"]))["status"] == "ready"
    assert (await token(running, sender["id"])).startswith("canary-access-")


async def test_a_sender_moves_from_oauth_to_a_password_and_back(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    request = account(oauth_pair)
    sender = await connected(running, provider[0], request)
    path = f"{ACCOUNTS}/{sender['id']}"
    missing = await running.http.patch(path, json={"auth_method": "password"})
    assert missing.json()["errors"][0]["field"] == "smtp_password"
    patch = {"auth_method": "password", "smtp_password": "canary password"}
    moved = (await running.http.patch(path, json=patch)).json()
    assert (moved["auth_method"], moved["oauth"], moved["status"]) == ("password", None, "ready")
    oauth = {"refresh_token": provider[0].grant(request["email_address"])}
    back = await running.http.patch(path, json={"auth_method": "xoauth2", "oauth": oauth})
    assert (back.json()["auth_method"], back.json()["status"]) == ("xoauth2", "ready")


@pytest.mark.seed("S25")
async def test_tokens_appear_nowhere(
    running: Registry, provider: Provider, oauth_pair: MailPair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        request = account(oauth_pair)
        sender = await connected(running, provider[0], request)
        await running.event("sender.created", sender["id"])
        await running.http.post(f"{ACCOUNTS}/{sender['id']}/validate")
        texts = [repr(await running.show(sender["id"]))]
    texts += [orjson.dumps(said).decode() for said in running.said]
    for collection in ("senders", "oauth_flows", "idempotency"):
        texts += [repr(document) for document in await documents(running, collection)]
    texts += [r.getMessage() + repr(r.args) for r in caplog.records if r.name != "asyncio"]
    assert len(texts) > 5
    assert [text for text in texts if "canary" in text] == []


async def test_a_refresh_token_opens_only_as_what_it_was_sealed_for(
    running: Registry, provider: Provider, oauth_pair: MailPair
) -> None:
    sender = await connected(running, provider[0], account(oauth_pair))
    [stored] = await documents(running, "senders")
    sealed, opened = stored["secrets"]["refresh"], master_ring().open
    names = {"service": "sender-registry", "record": sender["id"], "name": "refresh_token"}
    assert opened(sealed, **names).startswith("canary-refresh-")
    for wrong in ({"record": "other"}, {"name": "smtp_password"}, {"service": "dispatcher"}):
        with pytest.raises(CannotOpen):
            opened(sealed, **{**names, **wrong})
