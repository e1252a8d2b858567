"""`postfleet domains`, `mailboxes` and `fleet` against a running provisioner and real name server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from postfleet_cli.api import Api
from postfleet_cli.main import app
from tests.support.knot import Knot
from tests.support.provisioner import ACCOUNTS, ALIASES, API_KEY, Service, Start

pytestmark = pytest.mark.skipif(bool(Knot.missing()), reason=Knot.missing() or "")

FILE = """\
domains:
  - name: one.test
    dns: apply
    mailboxes: [{prefix: ann}]
    aliases: {sales: [ann@one.test]}
    groups: {team: [ann@one.test, zoe@else.test]}
blocklist: [spam.test]
"""


class _Bridge(httpx.BaseTransport):
    """Carries the commands' requests into the provisioner's loop; there is no registry here."""

    def __init__(self, service: Service) -> None:
        self._service, self._loop = service, asyncio.get_running_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sender-accounts"):
            return httpx.Response(200, json={"items": [], "next_cursor": None})
        asked = self._service.http.request(
            request.method, str(request.url), content=request.read(), headers=request.headers
        )
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop).result(30)
        headers = {"content-type": answer.headers.get("content-type", "")}
        return httpx.Response(answer.status_code, content=answer.content, headers=headers)


@pytest.fixture
def knot() -> Iterator[Knot]:
    with Knot({"one.test": ""}) as knot:
        yield knot


@pytest.fixture
async def service(
    start: Start, knot: Knot, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    async with start(**knot.settings) as service:
        bridge = _Bridge(service)
        monkeypatch.setattr(Api, "from_environment", lambda: Api("http://test", API_KEY, bridge))
        yield service


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def said(*words: str) -> Any:
    result = await run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.seed("S61", "S74", "S83")
async def test_a_domain_from_nothing_to_its_checks(service: Service, knot: Knot) -> None:
    assert (await said("domains", "add", "one.test", "--selector", "s1"))["state"] == "unverified"
    assert (await run("domains", "apply", "one.test")).exit_code == 0
    assert (await said("domains", "verify", "one.test"))["state"] == "verified"
    zone = (await run("domains", "records", "one.test")).output
    assert "; dkim: missing" in zone
    assert 's1._domainkey.one.test. IN TXT "v=DKIM1; k=rsa; p=' in zone
    applied = await run("domains", "apply", "one.test")
    assert "dmarc: add, published" in applied.output
    assert knot.texts("_dmarc.one.test") == ["v=DMARC1; p=reject"]
    checked = await run("domains", "check", "one.test")
    assert checked.exit_code == 1  # no mail server is here
    for words in ("outbound_25", "dmarc", "the policy is reject", "DigitalOcean", "spam score"):
        assert words in checked.output
    (listed,) = await said("domains", "list")
    assert listed["name"] == "one.test"
    rotated = await said("domains", "rotate-dkim", "one.test")
    assert rotated["signing"] == "s1"
    assert rotated["next"]


@pytest.mark.seed("S3", "S64")
async def test_mailboxes_are_made_listed_and_removed(service: Service) -> None:
    domain = "one.test"
    await run("domains", "add", domain)
    await run("domains", "apply", domain)
    await run("domains", "verify", domain)
    made = await said("mailboxes", "add", "ann@one.test", "--display-name", "Ann")
    assert made["state"] == "written"
    assert "password" not in json.dumps(made)
    (listed,) = await said("mailboxes", "list", "--domain", domain)
    assert listed["address"] == "ann@one.test"
    assert (await run("mailboxes", "add", "ann")).exit_code != 0
    removed = await run("mailboxes", "remove", "ann@one.test", "--yes")
    assert "ann@one.test: deleted" in removed.output
    assert service.lines(ACCOUNTS) == []
    helped = (await run("mailboxes", "--help")).output
    assert "recommended" in helped


@pytest.mark.seed("S134", "S162")
async def test_an_application_gets_its_variables(service: Service) -> None:
    await run("domains", "add", "one.test")
    await run("domains", "apply", "one.test")
    await run("domains", "verify", "one.test")
    printed = (await run("mailboxes", "add-app", "one.test", "shop")).output.splitlines()
    known = dict(line.split("=", 1) for line in printed)
    assert known["MAIL_FROM"] == known["MAIL_SMTP_USERNAME"] == "shop.app@one.test"
    assert len(known["MAIL_SMTP_PASSWORD"]) == 32


async def test_a_fleet_is_planned_approved_made_and_watched_for_drift(
    service: Service, knot: Knot, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE)
    first = await said("fleet", "plan", str(file))
    assert len(first["changes"]) == 8
    refused = await run("fleet", "apply", str(file))
    assert "nothing was changed" in str(refused.exception)
    other = await run("fleet", "apply", str(file), "--approve", "123456789abc")
    assert "look at it again" in str(other.exception)
    assert (await said("domains", "list")) == []

    made = await run("fleet", "apply", str(file), "--approve", first["plan"])
    assert made.exit_code == 0, made.output
    assert knot.texts("_dmarc.one.test") == ["v=DMARC1; p=reject"]
    assert [line.split("|")[0] for line in service.lines(ACCOUNTS)] == ["ann@one.test"]
    assert service.lines(ALIASES) == [
        "sales@one.test ann@one.test", "team@one.test ann@one.test,zoe@else.test",
    ]  # fmt: skip
    again = await run("fleet", "apply", str(file))
    assert "nothing to change" in again.output
    assert (await run("fleet", "drift", str(file))).exit_code == 0

    knot.change("one.test", lambda u: u.delete("_dmarc", "TXT"))
    await service.http.patch("/groups/team@one.test", json={"members": ["x@else.test"]})
    await service.post("/aliases", alias="more@one.test", targets=["x@else.test"])
    drift = await run("fleet", "drift", str(file))
    assert drift.exit_code == 1
    for words in ("change the group team@one.test", "more@one.test", "dmarc record is missing"):
        assert words in drift.output


async def test_a_domain_that_cannot_be_verified_leaves_its_mailboxes_out(
    service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("dns: apply", "dns: manual"))
    made = await said("fleet", "plan", str(file))
    applied = await run("fleet", "apply", str(file), "--approve", made["plan"])
    assert applied.exit_code != 0
    assert "TOKEN_NOT_FOUND" in str(applied.exception)
    assert "left out, one.test is not verified" in str(applied.exception)
    assert service.lines(ACCOUNTS) == []
    assert service.lines("postfix-send-access.cf") == ["spam.test REJECT not accepted here"]
    rest = await said("fleet", "plan", str(file))
    assert rest["changes"][0]["path"] == "/domains/one.test/verify"
