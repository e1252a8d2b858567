"""The records of a domain on a real name server that takes dynamic updates."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.knot import READ_ONLY_KEY, Knot
from tests.support.provisioner import Service, Start

pytestmark = pytest.mark.skipif(bool(Knot.missing()), reason=Knot.missing() or "")

ADDRESSES = {"server_addresses": "192.0.2.1", "hostname": "mail.fleet.test"}
OTHER_TEXT = "google-site-verification=" + "x" * 300  # long: it is stored as two strings


@pytest.fixture
def knot() -> Iterator[Knot]:
    zone = '@ TXT "v=spf1 include:_spf.other.test -all"\n'
    zone += f'@ TXT "{OTHER_TEXT[:100]}" "{OTHER_TEXT[100:200]}" "{OTHER_TEXT[200:]}"\n'
    with Knot({"fleet.test": "", "shared.test": zone, "taken.test": "@ MX 10 mx.other.test."}) as k:
        yield k


@pytest.fixture
async def service(start: Start, knot: Knot) -> AsyncIterator[Service]:
    async with start(**knot.settings, **ADDRESSES) as service:
        yield service


async def own(service: Service, name: str, **body: Any) -> None:
    """Add a domain and verify it by nothing but the API: the token is published for us."""
    assert (await service.post("/domains", name=name, **body)).status_code == 201
    applied = (await service.post(f"/domains/{name}/apply")).json()
    assert [(r["purpose"], r["standing"]) for r in applied["records"]] == [
        ("verification", "published")
    ]
    verified = await service.post(f"/domains/{name}/verify")
    assert verified.json()["state"] == "verified", verified.text


@pytest.mark.seed("S61", "S67", "S143", "S149", "S154")
async def test_apply_publishes_every_record_and_a_second_run_changes_nothing(
    service: Service, knot: Knot
) -> None:
    await own(service, "fleet.test")
    missing = (await service.http.get("/domains/fleet.test/records")).json()
    assert [r["standing"] for r in missing["records"]] == ["missing"] * 4
    applied = (await service.post("/domains/fleet.test/apply")).json()
    assert applied["in_place"] is True
    assert [r["action"] for r in applied["records"]] == ["add"] * 4
    assert knot.values("fleet.test", "MX") == ["10 mail.fleet.test."]
    assert knot.texts("fleet.test") == ["v=spf1 ip4:192.0.2.1 ~all"]
    assert knot.texts("_dmarc.fleet.test") == ["v=DMARC1; p=reject"]
    (dkim,) = [r for r in missing["records"] if r["purpose"] == "dkim"]
    assert knot.texts(dkim["name"]) == [dkim["value"]]

    again = (await service.post("/domains/fleet.test/apply")).json()
    assert [r["action"] for r in again["records"]] == ["none"] * 4
    shown = (await service.http.get("/domains/fleet.test/records")).json()
    assert (shown["in_place"], shown["automatic"]) == (True, True)


@pytest.mark.seed("S146", "S147", "S148")
async def test_spf_is_merged_and_the_texts_beside_it_survive(service: Service, knot: Knot) -> None:
    await own(service, "shared.test")
    await service.post("/domains/shared.test/apply")
    merged = "v=spf1 include:_spf.other.test ip4:192.0.2.1 -all"
    assert knot.texts("shared.test") == sorted([OTHER_TEXT, merged])

    edited = merged.replace("-all", "include:_spf.third.test -all")
    knot.change("shared.test", lambda u: u.delete("@", "TXT", f'"{merged}"'))
    knot.change("shared.test", lambda u: u.add("@", 60, "TXT", f'"{edited}"'))
    await service.post("/domains/shared.test/apply")
    assert edited in knot.texts("shared.test")


async def test_a_server_that_moves_leaves_no_old_address_in_spf(start: Start, knot: Knot) -> None:
    async with start(**knot.settings, **ADDRESSES) as service:
        await own(service, "shared.test")
        await service.post("/domains/shared.test/apply")
    moved = {**ADDRESSES, "server_addresses": "192.0.2.2"}
    async with start(**knot.settings, **moved) as service:
        await service.post("/domains/shared.test/apply")
    assert "v=spf1 include:_spf.other.test ip4:192.0.2.2 -all" in knot.texts("shared.test")


async def test_what_others_published_is_never_overwritten(service: Service, knot: Knot) -> None:
    await own(service, "taken.test")
    knot.change("taken.test", lambda u: u.add("_dmarc", 60, "TXT", '"v=DMARC1; p=none"'))
    applied = (await service.post("/domains/taken.test/apply")).json()
    standing = {r["purpose"]: (r["standing"], r["action"]) for r in applied["records"]}
    assert standing["mx"] == standing["dmarc"] == ("foreign", "refuse")
    assert standing["spf"] == standing["dkim"] == ("published", "add")
    assert applied["in_place"] is False
    assert knot.values("taken.test", "MX") == ["10 mx.other.test."]
    assert knot.texts("_dmarc.taken.test") == ["v=DMARC1; p=none"]

    only_sending = await service.http.patch("/domains/taken.test", json={"mail": "sending"})
    assert only_sending.json()["mail"] == "sending"
    records = (await service.http.get("/domains/taken.test/records")).json()["records"]
    assert "mx" not in {r["purpose"] for r in records}


async def test_a_policy_that_we_published_follows_the_operators_change(
    service: Service, knot: Knot
) -> None:
    await own(service, "fleet.test")
    await service.post("/domains/fleet.test/apply")
    body = {"dmarc": {"policy": "none", "pct": 20}}
    changed = await service.http.patch("/domains/fleet.test", json=body)
    assert changed.json()["dmarc"] == {"policy": "none", "pct": 20}
    applied = (await service.post("/domains/fleet.test/apply")).json()
    actions = {r["purpose"]: r["action"] for r in applied["records"]}
    assert actions == {"mx": "none", "spf": "none", "dkim": "none", "dmarc": "replace"}
    assert knot.texts("_dmarc.fleet.test") == ["v=DMARC1; p=none; pct=20"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"dns_update_key_name": READ_ONLY_KEY}, "let it update this zone", id="may not"
        ),
        pytest.param({"dns_update_key": "d3Jvbmctd3Jvbmctd3Jvbmc="}, "does not accept", id="wrong"),
    ],
)
async def test_a_zone_that_refuses_updates_is_reported_with_the_remedy(
    start: Start, knot: Knot, settings: dict[str, Any], said: str
) -> None:
    async with start(**{**knot.settings, **settings}) as service:
        await service.post("/domains", name="fleet.test")
        applied = (await service.post("/domains/fleet.test/apply")).json()
        (record,) = applied["records"]
        assert (record["standing"], record["action"]) == ("unknown", "refuse")
        assert said in record["note"]
    assert knot.texts("_postfleet-challenge.fleet.test") == []


async def test_an_unknown_zone_is_reported(service: Service) -> None:
    await service.post("/domains", name="nowhere.example")
    applied = (await service.post("/domains/nowhere.example/apply")).json()
    assert applied["records"][0]["action"] == "refuse"


async def test_a_name_server_that_is_away_is_reported(start: Start, knot: Knot) -> None:
    away = {**knot.settings, "dns_update_server": "127.0.0.1:1"}
    async with start(**away) as service:
        await service.post("/domains", name="fleet.test")
        records = (await service.http.get("/domains/fleet.test/records")).json()["records"]
        assert {r["standing"] for r in records} == {"unknown"}
        applied = (await service.post("/domains/fleet.test/apply")).json()
        assert applied["records"][0]["action"] == "refuse"


async def test_two_provisioners_at_once_publish_one_spf_record(start: Start, knot: Knot) -> None:
    async with contextlib.AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(start(**knot.settings, **ADDRESSES)) for _ in range(2)
        ]
        await own(both[0], "shared.test")
        answers = await asyncio.gather(*(s.post("/domains/shared.test/apply") for s in both * 3))
    assert all(answer.json()["in_place"] for answer in answers)
    merged = "v=spf1 include:_spf.other.test ip4:192.0.2.1 -all"
    assert knot.texts("shared.test") == sorted([OTHER_TEXT, merged])


@pytest.mark.seed("S83")
async def test_without_a_name_server_to_update_the_records_are_published_by_hand(
    start: Start,
) -> None:
    async with start() as service:
        name = await service.domain()
        refused = await service.post(f"/domains/{name}/apply")
        assert (refused.status_code, refused.json()["code"]) == (409, "DNS_IS_MANUAL")
        shown = (await service.http.get(f"/domains/{name}/records")).json()
        assert shown["automatic"] is False
        assert all(r["zone_line"].startswith(f"{r['name']}. IN ") for r in shown["records"])
