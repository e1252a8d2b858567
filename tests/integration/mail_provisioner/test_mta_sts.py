"""MTA-STS and TLS reports: published, served by the domain's name, and looked at as others do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import write_certificates
from tests.support.knot import Knot
from tests.support.ports import free_ports
from tests.support.provisioner import Service, Start
from tests.support.webserver import Asked, Reply, web_server

pytestmark = pytest.mark.skipif(bool(Knot.missing()), reason=Knot.missing() or "")

POLICY = "/.well-known/mta-sts.txt"


@pytest.fixture
def knot() -> Iterator[Knot]:
    with Knot({"one.test": "mta-sts A 127.0.0.1\n", "two.test": ""}) as knot:
        yield knot


async def own(service: Service, name: str, **body: Any) -> None:
    await service.post("/domains", name=name, **body)
    await service.post(f"/domains/{name}/apply")
    assert (await service.post(f"/domains/{name}/verify")).status_code == 200


async def check(service: Service, name: str, domain: str = "one.test") -> dict[str, Any]:
    answer = (await service.http.get(f"/domains/{domain}/checks")).json()
    found: dict[str, Any] = {c["name"]: c for c in answer["checks"]}
    return found.get(name, {})


async def test_a_policy_is_published_served_and_checked(
    start: Start, knot: Knot, tmp_path: Path
) -> None:
    certificates = write_certificates(tmp_path, ["mta-sts.one.test"])
    (port,) = free_ports(1)
    settings = {
        **knot.settings,
        "hostname": "mail.test",
        "tls_reports_to": "tls@one.test",
        "tls_ca_file": str(certificates[0]),
        "mta_sts_port": port,
    }
    async with start(**settings) as service:
        await own(service, "one.test")
        assert await check(service, "mta_sts") == {}, "nobody asked for it"
        assert (await check(service, "tls_rpt"))["state"] == "bad"
        changed = await service.http.patch("/domains/one.test", json={"mta_sts": "testing"})
        assert changed.json()["mta_sts"] == "testing"
        assert (await service.post("/domains/one.test/apply")).json()["in_place"] is True
        (first,) = knot.texts("_mta-sts.one.test")
        assert first.startswith("v=STSv1; id=")
        assert knot.texts("_smtp._tls.one.test") == ["v=TLSRPTv1; rua=mailto:tls@one.test"]
        assert (await check(service, "tls_rpt"))["state"] == "ok"
        assert (await check(service, "mta_sts"))["state"] == "bad", "nobody serves it"

        async def serve(asked: Asked) -> Reply:
            answer = await service.http.get(
                f"http://test{POLICY}", headers={"Host": asked.headers["host"], "X-API-Key": ""}
            )
            return answer.status_code, answer.content

        async with web_server(serve, certificates, port):
            found = await check(service, "mta_sts")
            assert (found["state"], found["expected"]) == ("ok", first)
        await service.http.patch("/domains/one.test", json={"mta_sts": "enforce"})
        await service.post("/domains/one.test/apply")
        (second,) = knot.texts("_mta-sts.one.test")
        assert second != first, "a new policy has a new id"


@pytest.mark.parametrize(
    ("names", "status", "body", "why"),
    [
        (["mta-sts.two.test"], 200, b"", "certificate"),
        (["mta-sts.one.test"], 301, b"", "301"),
        (["mta-sts.one.test"], 200, b"version: STSv1\nmode: none\n", "another policy"),
        (["mta-sts.one.test"], 200, b"x" * 100_000, "bytes"),
    ],
    ids=["a certificate for another name", "a redirection", "another policy", "no end"],
)
async def test_a_policy_that_others_would_not_believe_is_red(
    start: Start,
    knot: Knot,
    tmp_path: Path,
    names: list[str],
    status: int,
    body: bytes,
    why: str,
) -> None:
    certificates = write_certificates(tmp_path, names)
    (port,) = free_ports(1)

    async def serve(_: Asked) -> Reply:
        await asyncio.sleep(0)
        return status, body

    settings = {"tls_ca_file": str(certificates[0]), "mta_sts_port": port}
    async with start(**knot.settings, **settings) as service, web_server(serve, certificates, port):
        await own(service, "one.test", mta_sts="enforce")
        await service.post("/domains/one.test/apply")
        found = await check(service, "mta_sts")
    assert (found["state"], why in found["text"]) == ("bad", True), found
    assert any("mta-sts.<domain>" in hint for hint in found["hints"])


async def test_a_policy_is_served_only_for_a_domain_that_wants_one(
    start: Start, knot: Knot
) -> None:
    async with start(**knot.settings) as service:
        await own(service, "one.test", mta_sts="enforce")
        await own(service, "two.test")
        await service.post("/domains", name="three.test", mta_sts="enforce")  # not verified
        for host, status in (
            ("mta-sts.one.test", 200),
            ("mta-sts.two.test", 404),
            ("mta-sts.three.test", 404),
            ("one.test", 404),
        ):
            asked = await service.http.get(f"http://test{POLICY}", headers={"Host": host})
            assert asked.status_code == status, host
            if status == 200:
                assert asked.headers["content-type"].startswith("text/plain")
                assert "mx: mail.one.test\r\n" in asked.text
