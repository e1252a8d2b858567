"""Every check against a real name server with broken zones, and a real mail server."""

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.knot import Knot
from tests.support.mailpair import MailPair
from tests.support.ports import free_ports
from tests.support.provisioner import Service, Start

pytestmark = pytest.mark.skipif(bool(Knot.missing()), reason=Knot.missing() or "")

INCLUDES = "".join(f's{i} TXT "v=spf1 a:mail.test -all"\n' for i in range(6))
ELEVEN = "v=spf1 ip4:127.0.0.1 a:mail.test " + " ".join(f"include:s{i}.one.test" for i in range(5))
ZONES = {
    "one.test": INCLUDES + 'loop TXT "v=spf1 include:loop.one.test -all"\n',
    "test": "mail A 127.0.0.1\n",
    "127.in-addr.arpa": "1.0.0 PTR mail.test.\n",
    "list.example": "",
}
HOST = {"hostname": "mail.test", "server_addresses": "127.0.0.1"}


@pytest.fixture
def knot() -> Iterator[Knot]:
    with Knot(ZONES) as knot:
        yield knot


def settings(knot: Knot, pair: MailPair) -> dict[str, Any]:
    return {
        **knot.settings,
        **HOST,
        "mail_host": "127.0.0.1",
        "imaps_port": pair.imaps_port,
        "submission_port": pair.submission_port,
        "tls_ca_file": str(pair.ca_file),
        "outbound_probes": f"127.0.0.1:{pair.smtp_port},127.0.0.1:1",
        "dnsbl": "list.example",
        "checks_interval_seconds": 0.2,
    }


async def states(service: Service, name: str) -> dict[str, Any]:
    answer = (await service.http.get(f"/domains/{name}/checks")).json()
    return {check["name"]: check for check in answer["checks"]} | {"": answer["state"]}


async def published(service: Service, name: str) -> None:
    await service.post("/domains", name=name)
    await service.post(f"/domains/{name}/apply")
    assert (await service.post(f"/domains/{name}/verify")).status_code == 200
    assert (await service.post(f"/domains/{name}/apply")).json()["in_place"] is True


@pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")
@pytest.mark.seed("S74", "S84", "S129", "S156")
async def test_everything_is_green_once_the_records_are_applied(
    start: Start, knot: Knot, mail_pair: MailPair
) -> None:
    async with start(**settings(knot, mail_pair)) as service:
        await published(service, "one.test")
        answer = (await service.http.get("/domains/one.test/checks")).json()
        found = {check["name"]: check["state"] for check in answer["checks"]}
        names = ["outbound_25", "ptr", "dnsbl", "mx", "spf", "dkim", "dmarc", "tls"]
        # the certificate is trusted, but made for a day of tests
        assert found == {**dict.fromkeys(names, "ok"), "tls": "warn"}, answer
        assert answer["state"] == "warn"
        assert "spam score" in answer["hint"]  # S84


@pytest.mark.seed("S75", "S80", "S81")
async def test_each_broken_record_is_named_with_what_to_do(start: Start, knot: Knot) -> None:
    (closed,) = free_ports(1)
    away = {"mail_host": "127.0.0.1", "submission_port": closed, "dnsbl": "list.example"}
    async with start(**knot.settings, **HOST, **away) as service:
        await published(service, "one.test")
        knot.change("127.in-addr.arpa", lambda u: u.replace("1.0.0", 60, "PTR", "static.isp.test."))
        knot.change("list.example", lambda u: u.add("1.0.0.127", 60, "A", "127.0.0.2"))
        knot.change("one.test", lambda u: u.delete("@", "MX"))
        knot.change("one.test", lambda u: u.add("@", 60, "TXT", '"v=spf1 mx -all"'))
        knot.change("one.test", lambda u: u.add("_dmarc", 60, "TXT", '"v=DMARC1; p=none"'))
        (dkim,) = [
            r for r in (await service.http.get("/domains/one.test/records")).json()["records"]
            if r["purpose"] == "dkim"
        ]  # fmt: skip
        label = dkim["name"].removesuffix(".one.test")
        knot.change("one.test", lambda u: u.replace(label, 60, "TXT", '"v=DKIM1; p=OTHER"'))
        found = await states(service, "one.test")
        assert found.pop("") == "bad"
        assert {name: check["state"] for name, check in found.items()} == dict.fromkeys(
            found, "bad"
        )
        assert len(found) == 8
        assert all(check["hints"] for check in found.values())
        assert "2 SPF records" in found["spf"]["text"]
        assert found["ptr"]["found"] == ["127.0.0.1 static.isp.test"]
        assert found["dnsbl"]["found"] == ["127.0.0.1 list.example"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        pytest.param(ELEVEN + " -all", "11 DNS lookups", id="11 lookups"),
        pytest.param("v=spf1 ip4:127.0.0.1 include:loop.one.test -all", "circle", id="a circle"),
        pytest.param("v=spf1 ip4:127.0.0.1 include:none.one.test -all", "0 SPF", id="no record"),
        pytest.param(
            "v=spf1 ip4:127.0.0.1 a:a.one.test a:b.one.test mx:c.one.test -all",
            "3 names",
            id="three names that do not exist",
        ),
    ],
)
async def test_an_spf_record_that_receivers_cannot_evaluate_is_bad(
    start: Start, knot: Knot, record: str, said: str
) -> None:
    async with start(**knot.settings, **HOST) as service:
        await service.post("/domains", name="one.test")
        knot.change("one.test", lambda u: u.add("@", 60, "TXT", f'"{record}"'))
        spf = (await states(service, "one.test"))["spf"]
        assert (spf["state"], said in spf["text"]) == ("bad", True), spf


@pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")
async def test_a_certificate_of_an_unknown_authority_is_bad(
    start: Start, knot: Knot, mail_pair: MailPair
) -> None:
    trusted = settings(knot, mail_pair)
    del trusted["tls_ca_file"]
    async with start(**trusted) as service:
        await service.post("/domains", name="one.test")
        tls = (await states(service, "one.test"))["tls"]
        assert (tls["state"], "certificate verify failed" in tls["text"]) == ("bad", True)


@pytest.mark.skipif(bool(MailPair.missing()), reason=MailPair.missing() or "")
async def test_a_record_that_changes_under_us_is_announced_once(
    start: Start, mail_pair: MailPair
) -> None:
    name = f"d{secrets.token_hex(5)}.test"
    with Knot({**ZONES, name: ""}) as knot:
        await _lose_the_policy(start, knot, mail_pair, name)


async def _lose_the_policy(start: Start, knot: Knot, pair: MailPair, name: str) -> None:
    async with start(**settings(knot, pair)) as service:
        await published(service, name)

        async def green() -> bool:
            domain = (await service.http.get(f"/domains/{name}")).json()
            return bool(domain["checks"].get("dmarc") == "ok")

        await service.eventually(green)
        knot.change(name, lambda u: u.delete("_dmarc", "TXT"))
        events = await service.events(name, 4)
        said = {subject: body for subject, body, _ in events}
        assert said["domain.degraded"]["checks"] == {"dmarc": "there is no such record"}
        assert said["domain.dns_changed"]["records"] == [f"TXT _dmarc.{name}"]
        await asyncio.sleep(1.5)  # more looks, which find nothing new
        assert (await service.count_events("domain.degraded"))[name] == 1
        assert (await service.http.get(f"/domains/{name}")).json()["checks"]["dmarc"] == "bad"
