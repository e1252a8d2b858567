"""A CSV of a thousand senders: side by side, every line reported, and again without harm."""

import csv
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli.api import Api
from postfleet_cli.main import app

_COUNT = 1000
_SLOW_SECONDS = 0.01  # a log-in; one after the other they would take ten seconds


class _Registry:
    """Refuses every hundredth password, and what it has already."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def answer(self, request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = json.loads(request.content)
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(_SLOW_SECONDS)
        with self._lock:
            self.at_once -= 1
            return self._judge(body)

    def _judge(self, body: dict[str, Any]) -> httpx.Response:
        address = body["email_address"]
        if address in self.known:
            return _problem(409, "ALREADY_EXISTS", "a sender with this email_address exists")
        if body["smtp_password"] == "wrong":
            return _problem(422, "AUTH_FAILED", "the SMTP log-in fails: user name or password")
        self.known.add(address)
        return httpx.Response(201, json={"id": address, "status": "ready"})


def _problem(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "code": code, "detail": detail})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> _Registry:
    found = _Registry()
    transport = httpx.MockTransport(found.answer)
    monkeypatch.setattr(Api, "from_environment", lambda: Api("http://platform", "k", transport))
    return found


def _write(file: Path) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["email_address", "smtp_password", "smtp_host", "smtp_port", "tags"])
        for number in range(_COUNT):
            password = "wrong" if number % 100 == 0 else f"secret {number}"
            address = f"s{number}@d{number % 20}.test"
            writer.writerow([address, password, "mail.test", "587", "a;b"])


def test_a_thousand_senders_are_imported_side_by_side(registry: _Registry, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    _write(file)
    result = CliRunner().invoke(app, ["senders", "import", str(file), "--json"])
    rows = json.loads(result.stdout)
    assert len(rows) == _COUNT
    assert [row["line"] for row in rows] == list(range(2, _COUNT + 2)), "a line each, in order"
    refused = [row for row in rows if not row["ok"]]
    assert [row["line"] for row in refused] == list(range(2, _COUNT + 2, 100))
    assert all("AUTH_FAILED" in row["detail"] for row in refused)
    assert result.exit_code != 0, "some were refused"
    assert len(registry.known) == _COUNT - 10
    assert 2 <= registry.most_at_once <= 20
    assert "secret" not in result.output
    again = json.loads(CliRunner().invoke(app, ["senders", "import", str(file), "--json"]).stdout)
    assert sum("ALREADY_EXISTS" in row["detail"] for row in again) == _COUNT - 10
