"""`postfleet ledger announce`: a period in as many calls as it takes."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli.api import Api
from postfleet_cli.main import app

_runner = CliRunner()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The bodies of the calls to a platform that has three pages."""
    bodies: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/public/v1/ledger/announce"
        bodies.append(json.loads(request.read()))
        cursor = f"page-{len(bodies)}" if len(bodies) < 3 else None
        return httpx.Response(200, json={"settlements": 2, "events": 5, "next_cursor": cursor})

    made = lambda: Api("http://platform", "key", httpx.MockTransport(answer))  # noqa: E731
    monkeypatch.setattr(Api, "from_environment", made)
    return bodies


def test_all_pages_are_asked_for_and_added_up(asked: list[dict[str, str]]) -> None:
    since = "2026-11-20T10:00:00+02:00"
    result = _runner.invoke(app, ["ledger", "announce", "--since", since, "--until", "1h"])
    assert result.exit_code == 0, result.output
    assert "announced 15 events of 6 settlements again" in result.output
    assert [body.get("cursor") for body in asked] == [None, "page-1", "page-2"]
    assert {body["since"] for body in asked} == {"2026-11-20T08:00:00+00:00"}
    until = datetime.fromisoformat(asked[0]["until"])
    assert abs(datetime.now(UTC) - timedelta(hours=1) - until) < timedelta(minutes=1)


def test_without_an_end_the_period_lasts_until_now(asked: list[dict[str, str]]) -> None:
    result = _runner.invoke(app, ["ledger", "announce", "--since", "2h", "--json"])
    assert json.loads(result.output) == {"settlements": 6, "events": 15}
    assert all("until" not in body for body in asked)


def test_a_period_that_is_none_asks_nobody(asked: list[dict[str, str]]) -> None:
    assert _runner.invoke(app, ["ledger", "announce"]).exit_code == 2
    assert _runner.invoke(app, ["ledger", "announce", "--since", "soon"]).exit_code == 2
    assert asked == []
