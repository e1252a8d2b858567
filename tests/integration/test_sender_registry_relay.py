"""Log-ins for handing mail in over SMTP, and suspending whole domains."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postfleet.api_keys import hash_key
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.unit.sender_registry.world import ACCOUNTS, Registry, documents, registry, settings

USER = {"access_methods": ["smtp"], "smtp_authentication": "user"}


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
        service_domain="clrstream.com",
        relay_hosts="smtp1.clrstream.com,smtp2.clrstream.com",
        **getattr(request, "param", {}),
    )
    async with registry(configuration) as found:
        yield found


def account(pair: MailPair, address: str = "", **changes: Any) -> dict[str, Any]:
    address = address or f"{secrets.token_hex(6)}@one.test"
    pair.add_mailbox(address, "canary")
    return {
        "email_address": address,
        "smtp_host": "127.0.0.1",
        "smtp_port": pair.submission_port,
        "smtp_password": "canary",
        **changes,
    }


async def register(running: Registry, request: dict[str, Any]) -> dict[str, Any]:
    answer = await running.http.post(ACCOUNTS, json=request)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def whose(running: Registry, **asked: str) -> Any:
    return (await running.ask("rpc.relay.authenticate", asked))["sender_id"]


@pytest.mark.seed("S263", "S264", "S268", "S269", "S270", "S285", "S286", "C16")
async def test_a_log_in_of_its_own_is_issued_once_with_hosts_and_ports(
    running: Registry, mail_pair: MailPair
) -> None:
    headers = {"Idempotency-Key": "relay"}
    request = account(mail_pair, f"john.smith{secrets.token_hex(3)}@one.test", **USER)
    answer = await running.http.post(ACCOUNTS, json=request, headers=headers)
    made = answer.json()
    relay = made["relay"]
    local = request["email_address"].partition("@")[0]
    assert relay["login"] == f"{local}@one-test.clrstream.com"
    assert relay["hosts"] == ["smtp1.clrstream.com", "smtp2.clrstream.com"]
    assert relay["ports"] == [{"port": 587, "tls": "required", "recommended": True}]
    login = {"login": relay["login"], "hash": hash_key(relay["password"])}
    assert await whose(running, **login) == made["id"]
    assert await whose(running, **{**login, "hash": hash_key("wrong")}) is None
    shown = await running.http.get(f"{ACCOUNTS}/{made['id']}")
    assert shown.json()["relay_login"] == relay["login"]
    stored = [await documents(running, name) for name in ("senders", "idempotency")]
    assert relay["password"] not in shown.text + repr(stored) + repr(running.said)


@pytest.mark.seed("S285")
async def test_a_new_password_ends_the_old_one_at_once(
    running: Registry, mail_pair: MailPair
) -> None:
    made = await register(running, account(mail_pair, **USER))
    old = made["relay"]
    answer = await running.http.post(f"{ACCOUNTS}/{made['id']}/rotate-password")
    new = answer.json()["relay"]
    assert new["login"] == old["login"]
    assert await whose(running, login=old["login"], hash=hash_key(old["password"])) is None
    good = {"login": new["login"], "hash": hash_key(new["password"])}
    assert await whose(running, **good) == made["id"]
    await running.http.post(f"{ACCOUNTS}/{made['id']}/suspend")
    assert await whose(running, **good) is None


@pytest.mark.seed("S264", "S277", "S280")
async def test_the_log_in_follows_its_settings(running: Registry, mail_pair: MailPair) -> None:
    made = await register(running, account(mail_pair))
    path = f"{ACCOUNTS}/{made['id']}"
    assert "relay" not in made
    refused = await running.http.post(f"{path}/rotate-password")
    assert refused.json()["errors"][0]["code"] == "NO_RELAY_LOGIN"
    on = (await running.http.patch(path, json=USER)).json()["relay"]
    assert await whose(running, login=on["login"], hash=hash_key(on["password"])) == made["id"]
    again = (await running.http.patch(path, json={"name": "x"})).json()
    assert "password" not in again["relay"]
    off = {"access_methods": ["campaign"], "smtp_authentication": None}
    assert "relay" not in (await running.http.patch(path, json=off)).json()
    assert await whose(running, login=on["login"], hash=hash_key(on["password"])) is None


@pytest.mark.seed("S264")
async def test_networks_are_let_in_by_address_and_without_a_password(
    running: Registry, mail_pair: MailPair
) -> None:
    by_ip = {
        "access_methods": ["smtp"],
        "smtp_authentication": "ip",
        "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"],
    }
    made = await register(running, account(mail_pair, **by_ip))
    address = made["email_address"]
    assert made["relay"]["login"] is None
    assert "password" not in made["relay"]
    assert [p["port"] for p in made["relay"]["ports"]] == [587, 25]
    for ip in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"):
        assert await whose(running, ip=ip, address=address) == made["id"]
    for ip in ("192.0.3.9", "nonsense"):
        assert await whose(running, ip=ip, address=address) is None
    assert await whose(running, ip="192.0.2.9", address="other@one.test") is None
    assert await whose(running, ip="192.0.2.9", address="no address") is None


@pytest.mark.seed("S259", "S291", "C14")
@pytest.mark.parametrize("running", [{"primary_domains": "one.test, acmecorp.com"}], indirect=True)
async def test_with_primary_domains_no_other_domain_sends(
    running: Registry, mail_pair: MailPair
) -> None:
    assert (await register(running, account(mail_pair)))["status"] == "ready"
    other = account(mail_pair, f"{secrets.token_hex(4)}@two.test")
    answer = await running.http.post(ACCOUNTS, json=other)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "NOT_PRIMARY_DOMAIN")


@pytest.mark.seed("S308")
async def test_a_domain_is_suspended_with_all_its_senders_and_those_to_come(
    running: Registry, mail_pair: MailPair
) -> None:
    ann, bob = [await register(running, account(mail_pair)) for _ in range(2)]
    eve = await register(running, account(mail_pair, f"{secrets.token_hex(4)}@two.test"))
    await running.http.post(f"{ACCOUNTS}/{bob['id']}/suspend", json={"reason": "his own"})
    order = {"domain": "One.test", "reason": "reputation"}
    answer = await running.http.post(f"{ACCOUNTS}/suspend-domain", json=order)
    assert (answer.status_code, answer.json()["senders"]) == (200, 2)
    shown = await running.show(ann["id"])
    assert (shown["status"], shown["suspended"]["reason"]) == ("restricted", "reputation")
    assert (await running.event("sender.suspended", ann["id"]))["reason"] == "reputation"
    assert (await running.show(eve["id"]))["status"] == "ready"
    late = await running.http.post(ACCOUNTS, json=account(mail_pair))
    assert (late.status_code, late.json()["code"]) == (409, "DOMAIN_SUSPENDED")
    await running.http.post(f"{ACCOUNTS}/suspend-domain", json={"domain": "a.test"})
    listed, cursor = [], None
    for _ in range(2):
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        one = (await running.http.get(f"{ACCOUNTS}/suspended-domains", params=params)).json()
        listed += [item["domain"] for item in one["items"]]
        cursor = one["next_cursor"]
    assert (listed, cursor) == (["a.test", "one.test"], None)
    lifted = await running.http.post(f"{ACCOUNTS}/resume-domain", json={"domain": "one.test"})
    assert lifted.json()["senders"] == 1
    assert (await running.show(ann["id"]))["status"] == "ready"
    assert (await running.show(bob["id"]))["suspended"]["reason"] == "his own"
    assert (await register(running, account(mail_pair)))["status"] == "ready"


@pytest.mark.seed("S257", "S258")
async def test_a_domain_may_have_any_number_of_senders_each_registered(
    running: Registry, mail_pair: MailPair
) -> None:
    made = [await register(running, account(mail_pair)) for _ in range(5)]
    assert len({sender["id"] for sender in made}) == 5
    unknown = {"sender_id": "nobody", "protocol": "smtp"}
    assert "error" in await running.ask("rpc.sender.credentials", unknown)
    assert await whose(running, ip="127.0.0.1", address="stranger@one.test") is None


@pytest.mark.seed("S31", "C3")
async def test_warming_senders_exchange_mails_within_the_fleet(
    running: Registry, mail_pair: MailPair
) -> None:
    def warming(address: str = "") -> dict[str, Any]:
        imap = {
            "imap_host": "127.0.0.1",
            "imap_port": mail_pair.imaps_port,
            "warmup_mode": True,
        }
        return account(mail_pair, address, **imap)

    ann = await register(running, warming())
    bob = await register(running, warming(f"{secrets.token_hex(4)}@two.test"))
    await register(running, warming())  # of ann's own domain: no partner
    await register(running, account(mail_pair, f"{secrets.token_hex(4)}@two.test"))  # no IMAP
    shown = (await running.http.get(f"{ACCOUNTS}/{ann['id']}/warmup")).json()
    assert (shown["day"], shown["volume"], shown["course"]) == (1, 5, "growing")
    assert {e["partner_id"] for e in shown["exchanges"]} == {bob["id"]}
    asked = {"sender_id": ann["id"]}
    assert await running.ask("rpc.warmup.plan", asked) == shown
    await running.http.post(f"{ACCOUNTS}/{ann['id']}/suspend")
    assert "restricted" in (await running.ask("rpc.warmup.plan", asked))["error"]


async def test_in_a_small_fleet_ready_senders_take_part_in_warming_up(
    running: Registry, mail_pair: MailPair
) -> None:
    imap = {"imap_host": "127.0.0.1", "imap_port": mail_pair.imaps_port}
    ready = await register(running, account(mail_pair, f"{secrets.token_hex(4)}@two.test", **imap))
    ann = await register(running, account(mail_pair, warmup_mode=True))
    shown = (await running.http.get(f"{ACCOUNTS}/{ann['id']}/warmup")).json()
    assert [e["partner_id"] for e in shown["exchanges"]] == [ready["id"]] * 4
