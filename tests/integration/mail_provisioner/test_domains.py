"""/domains over HTTP, with a DNS server of our own."""

import secrets
from typing import Any

import pytest

from tests.support.provisioner import Service


async def test_a_domain_is_verified_once_its_token_is_in_the_dns(service: Service) -> None:
    name = f"d{secrets.token_hex(5)}.test"
    added = await service.post("/domains", name=name.upper())
    assert added.status_code == 201
    domain = added.json()
    assert (domain["name"], domain["state"], domain["verified_at"]) == (name, "unverified", None)

    missing = await service.post(f"/domains/{name}/verify")
    assert (missing.status_code, missing.json()["code"]) == (409, "TOKEN_NOT_FOUND")
    record = domain["verification"]
    assert domain["token"] in record["value"]
    service.dns.texts[record["name"]] = [record["value"] + "x"]
    assert (await service.post(f"/domains/{name}/verify")).status_code == 409

    service.dns.texts[record["name"]] = [record["value"]]
    for _ in range(2):
        verified = await service.post(f"/domains/{name}/verify")
        assert verified.json()["state"] == "verified"
    assert (await service.http.get(f"/domains/{name}")).json() == verified.json()
    events = await service.events(name, 2)
    assert [subject for subject, _, _ in events] == ["domain.added", "domain.verified"]


async def test_a_silent_dns_is_503_and_changes_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mail_provisioner.dns._DEADLINE", 0.3)
    name = f"d{secrets.token_hex(5)}.test"
    await service.post("/domains", name=name)
    service.dns.silent = True
    refused = await service.post(f"/domains/{name}/verify")
    assert (refused.status_code, refused.json()["code"]) == (503, "DNS_UNAVAILABLE")
    assert (await service.http.get(f"/domains/{name}")).json()["state"] == "unverified"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": "localhost"}, "name", "INVALID_DOMAIN"),
        ({"name": "a b.test"}, "name", "INVALID_DOMAIN"),
        ({"name": "x.test."}, "name", "INVALID_DOMAIN"),
        ({"name": "x.test", "dkim_selector": "a.b"}, "dkim_selector", "INVALID_SELECTOR"),
        ({"name": "x.test", "dmarc": {"pct": 101}}, "dmarc.pct", "less_than_equal"),
        ({"name": "x.test", "colour": "red"}, "colour", "extra_forbidden"),
    ],
)
async def test_a_bad_domain_is_refused_with_the_field_named(
    service: Service, body: dict[str, Any], field: str, code: str
) -> None:
    refused = await service.post("/domains", **body)
    assert refused.status_code == 422
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, code)]


async def test_a_domain_is_added_once(service: Service) -> None:
    name = f"d{secrets.token_hex(5)}.test"
    assert (await service.post("/domains", name=name)).status_code == 201
    again = await service.post("/domains", name=name)
    assert (again.status_code, again.json()["code"]) == (409, "DOMAIN_EXISTS")


@pytest.mark.seed("S144", "S145", "S148", "S149", "S151", "S152", "S154")
async def test_records_are_ready_to_be_copied(service: Service) -> None:
    name = f"d{secrets.token_hex(5)}.test"
    await service.post(
        "/domains", name=name, dkim_selector="fleet1", dmarc={"policy": "quarantine", "pct": 50}
    )
    answer = (await service.http.get(f"/domains/{name}/records")).json()
    records = {record["purpose"]: record for record in answer["records"]}
    assert (records["mx"]["name"], records["mx"]["value"]) == (name, f"10 mail.{name}")
    assert records["spf"]["value"] == f"v=spf1 a:mail.{name} ~all"
    assert records["dkim"]["name"] == f"fleet1._domainkey.{name}"
    assert len(records["dkim"]["value"]) == len("v=DKIM1; k=rsa; p=") + 392
    assert records["dmarc"]["value"] == "v=DMARC1; p=quarantine; pct=50"
    assert {r["standing"] for r in records.values()} == {"missing"}


async def test_a_domain_outside_ascii_has_one_name_and_is_found_by_both(service: Service) -> None:
    spelled = f"Bücher{secrets.token_hex(5)}.test"
    ascii_name = spelled.lower().encode("idna").decode()
    added = await service.post("/domains", name=spelled)
    assert added.json()["name"] == ascii_name
    for name in (spelled, ascii_name):
        assert (await service.http.get(f"/domains/{name}")).json() == added.json()
    assert (await service.post("/domains", name=ascii_name)).status_code == 409
    assert (await service.http.get("/domains/never.added.test")).status_code == 404
    assert (await service.http.get("/domains/nonsense")).status_code == 404


async def test_domains_are_listed_in_pages(service: Service) -> None:
    names = sorted(f"d{secrets.token_hex(5)}.test" for _ in range(3))
    for name in names:
        await service.post("/domains", name=name)
    first = (await service.http.get("/domains?limit=2")).json()
    rest = (await service.http.get(f"/domains?limit=2&cursor={first['next_cursor']}")).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == names
    assert rest["next_cursor"] is None
