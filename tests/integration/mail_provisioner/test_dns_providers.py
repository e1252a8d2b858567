"""The records of a domain at Cloudflare, DigitalOcean and Route 53, played by a server of our own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from postfleet.http import encode_cursor
from tests.support.dnsproviders import KEY, TOKEN, DnsProviders
from tests.support.provisioner import Service, Start

ADDRESSES = {"server_addresses": "192.0.2.1", "hostname": "mail.fleet.test"}
SPF = "v=spf1 include:_spf.other.test -all"
OTHER_TEXT = "google-site-verification=" + "x" * 300  # two strings
NEIGHBOUR = "not quoted; not ours"
ZONE = [
    ("fleet.test", "A", 300, "192.0.2.7"),
    ("fleet.test", "TXT", 300, SPF),
    ("fleet.test", "TXT", 300, f'"{OTHER_TEXT[:255]}" "{OTHER_TEXT[255:]}"'),
    ("fleet.test", "TXT", 300, NEIGHBOUR),
    ("odd.fleet.test", "CNAME", 1, "elsewhere.test"),
    ("odd.fleet.test", "TXT", 30, "a text beside a CNAME: nobody's to tidy up"),
    ("_acme-challenge.fleet.test", "TXT", 60, "abc"),
]
PROVIDERS: dict[str, dict[str, str]] = {
    "cloudflare": {"token": TOKEN},
    "digitalocean": {"token": TOKEN},
    "route53": KEY,
}


@pytest.fixture
def world() -> Iterator[DnsProviders]:
    with DnsProviders({"other.test": [], "fleet.test": ZONE}) as world:
        yield world


@pytest.fixture
async def service(start: Start, world: DnsProviders) -> AsyncIterator[Service]:
    async with start(**world.settings, **ADDRESSES) as service:
        yield service


async def own(service: Service, world: DnsProviders, provider: str) -> None:
    """An account, and a domain whose token the account publishes."""
    body = {"name": "main", "provider": provider, "credentials": PROVIDERS[provider]}
    added = await service.post("/dns-providers", **body)
    assert (added.status_code, added.json()["zones"]) == (201, ["fleet.test", "other.test"])
    token = (await service.post("/domains", name="fleet.test")).json()["verification"]
    applied = (await service.post("/domains/fleet.test/apply")).json()
    assert applied["in_place"], applied
    assert world.values(token["name"]) == [token["value"]]
    service.dns.texts[token["name"]] = world.values(token["name"])
    verified = await service.post("/domains/fleet.test/verify")
    assert verified.json()["state"] == "verified", verified.text
    world.journal.clear()


@pytest.mark.seed("S61", "S67", "S147")
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_our_records_are_published_and_nothing_else_is_touched(
    service: Service, world: DnsProviders, provider: str
) -> None:
    await own(service, world, provider)
    strangers = {e.id: (e.value, e.ttl) for e in world.entries if e.value != SPF}
    applied = (await service.post("/domains/fleet.test/apply")).json()
    assert applied["in_place"], applied
    merged = "v=spf1 include:_spf.other.test ip4:192.0.2.1 -all"
    assert world.values("fleet.test") == sorted([NEIGHBOUR, OTHER_TEXT, merged])
    assert world.values("fleet.test", "MX") == ["10 mail.fleet.test"]
    assert world.values("_dmarc.fleet.test") == ["v=DMARC1; p=reject"]
    shown = (await service.http.get("/domains/fleet.test/records")).json()
    assert (shown["in_place"], shown["automatic"]) == (True, True)
    (dkim,) = [r for r in shown["records"] if r["purpose"] == "dkim"]
    assert world.values(dkim["name"]) == [dkim["value"]], "410 octets in two strings"
    names = {name for _, name, _, _ in world.journal}
    assert names == {"fleet.test", "_dmarc.fleet.test", dkim["name"]}
    if provider != "route53":  # which can only replace a set as a whole
        assert {i: v for i, v in strangers.items() if world.find(i)} == strangers
        written = {value for *_, value in world.journal}
        assert not {OTHER_TEXT, NEIGHBOUR} & written, "not even written again"

    world.journal.clear()
    again = (await service.post("/domains/fleet.test/apply")).json()
    assert {r["action"] for r in again["records"]} == {"none"}
    assert world.journal == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_others_published_is_refused_and_ours_follows_a_change(
    service: Service, world: DnsProviders, provider: str
) -> None:
    await own(service, world, provider)
    world.add("fleet.test", "fleet.test", "MX", 300, "5 mx.other.test")
    applied = (await service.post("/domains/fleet.test/apply")).json()
    standing = {r["purpose"]: (r["standing"], r["action"]) for r in applied["records"]}
    assert standing["mx"] == ("foreign", "refuse")
    assert standing["dmarc"] == ("published", "add")
    assert world.values("fleet.test", "MX") == ["5 mx.other.test"]
    await service.http.patch("/domains/fleet.test", json={"dmarc": {"policy": "quarantine"}})
    await service.post("/domains/fleet.test/apply")
    assert world.values("_dmarc.fleet.test") == ["v=DMARC1; p=quarantine"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_somebody_elses_change_in_between_is_seen(
    service: Service, world: DnsProviders, provider: str
) -> None:
    await own(service, world, provider)
    news = "v=spf1 include:_spf.third.test -all"

    def edit() -> None:  # just before our first write arrives
        world.before_write = lambda: None
        for entry in world.entries:
            if entry.value == SPF:
                entry.value = news

    if provider == "route53":  # the one that refuses such a write
        world.before_write = edit
    else:
        edit()
    await service.post("/domains/fleet.test/apply")
    merged = "v=spf1 include:_spf.third.test ip4:192.0.2.1 -all"
    assert world.values("fleet.test") == sorted([NEIGHBOUR, OTHER_TEXT, merged])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_wrong_credentials_store_nothing_and_right_ones_never_come_back(
    service: Service, world: DnsProviders, provider: str
) -> None:
    wrong = dict.fromkeys(PROVIDERS[provider], "nonsense")
    body: dict[str, Any] = {"name": "main", "provider": provider}
    refused = await service.post("/dns-providers", **body, credentials=wrong)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["code"] == "CREDENTIALS_REFUSED"
    assert (await service.http.get("/dns-providers")).json()["items"] == []

    made = await service.post("/dns-providers", **body, credentials=PROVIDERS[provider])
    again = await service.post("/dns-providers", **body, credentials=PROVIDERS[provider])
    assert (made.status_code, again.status_code) == (201, 409)
    listed = await service.http.get("/dns-providers")
    assert listed.json()["next_cursor"] is None
    rest = {"limit": 1, "cursor": encode_cursor("main")}
    assert (await service.http.get("/dns-providers", params=rest)).json()["items"] == []
    shown = await service.http.get("/dns-providers/main")
    assert shown.json()["zones"] == ["fleet.test", "other.test"]
    for secret in PROVIDERS[provider].values():
        assert not any(secret in answer.text for answer in (made, listed, shown, refused))

    gone = await service.http.delete("/dns-providers/main")
    assert gone.json()["state"] == "deleted"
    assert (await service.http.get("/dns-providers/main")).status_code == 404


async def test_a_provider_that_is_away_or_has_no_such_zone_is_reported(
    service: Service, world: DnsProviders
) -> None:
    await own(service, world, "cloudflare")
    await service.post("/domains", name="unknown.test")
    refused = await service.post("/domains/unknown.test/apply")
    assert (refused.status_code, refused.json()["code"]) == (409, "DNS_IS_MANUAL")
    world.fail_with = 503
    applied = (await service.post("/domains/fleet.test/apply")).json()
    assert {(r["standing"], r["action"]) for r in applied["records"]} == {("unknown", "refuse")}
    assert world.journal == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "bind"}, "provider"),
        ({"credentials": {"token": "x", "more": "y"}}, "credentials"),
        ({"credentials": {"token": "a\r\nb"}}, "credentials.token"),
        ({"name": "Not A Name"}, "name"),
    ],
)
async def test_an_account_that_cannot_be_names_its_field(
    service: Service, world: DnsProviders, body: dict[str, Any], field: str
) -> None:
    given = {"name": "main", "provider": "cloudflare", "credentials": {"token": TOKEN}, **body}
    refused = await service.post("/dns-providers", **given)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == field
    assert world.asked == []
