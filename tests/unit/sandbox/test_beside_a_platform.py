"""The sandbox on a machine of its own: another name, another address, links that lead elsewhere."""

import csv
import ssl
from pathlib import Path

import httpx
import pytest

from postfleet_sandbox import Sandbox
from postfleet_sandbox.reading import reached_at
from postfleet_sandbox.tls import certificates


@pytest.mark.parametrize(
    ("platform", "asked"),
    [
        pytest.param("", "http://127.0.0.1:8080/t/x?a=1", id="as it stands in the mail"),
        pytest.param("http://gateway:8000", "http://gateway:8000/t/x?a=1", id="at the platform"),
    ],
)
def test_a_link_is_asked_for_where_the_platform_is(platform: str, asked: str) -> None:
    assert reached_at("http://127.0.0.1:8080/t/x?a=1", platform) == asked


def test_the_certificate_holds_the_name_and_is_made_again_for_another(tmp_path: Path) -> None:
    first = certificates(tmp_path).server_file.read_bytes()
    assert certificates(tmp_path, "127.0.0.1").server_file.read_bytes() == first
    second = certificates(tmp_path, "sandbox").server_file.read_bytes()
    assert second != first
    assert certificates(tmp_path, "sandbox").server_file.read_bytes() == second


async def test_accounts_are_told_its_name_and_there_are_people_to_write_to(tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path, host="0.0.0.0", name="sandbox") as box:
        control = f"http://127.0.0.1:{box.control_port}"
        async with httpx.AsyncClient(base_url=control, trust_env=False) as client:
            wanted = {"address": "ann@fleet.test", "password": "secret"}
            made = (await client.post("/accounts", json=wanted)).json()
            assert (made["smtp_host"], made["imap_host"]) == ("sandbox", "sandbox")
            assert (await client.get("/readyz")).status_code == 200
            rows = list(csv.DictReader((await client.get("/leads.csv?rows=30")).text.splitlines()))
            assert len(rows) == 30
            assert "email" in rows[0]
            assert (await client.get("/leads.csv?rows=none")).status_code == 422
        assert ssl.create_default_context(cafile=box.ca_file).cert_store_stats()["x509_ca"] == 1


async def test_people_open_what_the_platform_answers_elsewhere(tmp_path: Path) -> None:
    """A link names 127.0.0.1 and a port where nobody listens; the platform is asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200)

    async with Sandbox(data=tmp_path, platform="http://gateway:8000") as box:
        recipients = box.recipients
        recipients._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        await recipients._get_all(["http://127.0.0.1:1/o/x", "https://elsewhere.test/"], {})
    assert asked == ["http://gateway:8000/o/x"]
