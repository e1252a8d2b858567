"""What the provisioner shares with every service."""

import os
import secrets
from pathlib import Path

import httpx
import pytest

from mail_provisioner.app import build
from mail_provisioner.settings import Settings
from tests.support.provisioner import API_KEY, MASTER_KEY, Service


async def test_without_a_key_nothing_is_told(service: Service) -> None:
    for method, path in (("GET", "/domains"), ("POST", "/mailboxes"), ("DELETE", "/aliases/a@b.c")):
        answer = await service.http.request(method, path, headers={"X-API-Key": ""})
        assert answer.status_code == 401


async def test_the_same_idempotency_key_makes_one_mailbox(service: Service) -> None:
    domain = await service.domain()
    body = {"domain": domain, "prefix": "ann"}
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    answers = [await service.http.post("/mailboxes", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_it_answers_healthz_but_is_not_ready_without_its_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postfleet.mongo._SELECTION_TIMEOUT_MS", 200)
    settings = Settings(
        nats_url="nats://127.0.0.1:1",
        mongodb_url="mongodb://127.0.0.1:1/",
        master_key=MASTER_KEY,
        api_key=API_KEY,
        config_dir=tmp_path,
    )
    app = build(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", timeout=30
        ) as http,
    ):
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        known = await http.get("/api/public/v1/domains/x.test", headers={"X-API-Key": API_KEY})
        assert known.status_code == 503
    assert os.listdir(tmp_path) == []
