"""`postfleet people`, `webhooks` and `tracker`: what they ask the platform, and what they print."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli.api import Api
from postfleet_cli.main import app

_runner = CliRunner()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """The requests; each is answered with what the path has."""
    requests: list[httpx.Request] = []
    answers = {
        ("GET", "/people/ann@example.org"): {"address": "ann@example.org", "hits": []},
        ("GET", "/deliveries/of/ann@example.org"): {"deliveries": [], "leads": [{"id": "l1"}]},
        ("DELETE", "/people/ann@example.org"): {"event_id": "e1", "status": "ordered"},
        ("POST", "/webhooks"): {"id": "w1", "secret": "whsec_x"},
        ("POST", "/webhooks/w1/replay"): {"webhook_id": "w1", "messages": 3},
        ("DELETE", "/webhooks/w1"): None,
        ("POST", "/rescores"): {"id": "r1", "state": "running"},
        ("GET", "/rescores/r1"): {"id": "r1", "state": "done", "changed": 3, "opened": -2},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        found = answers[request.method, request.url.path.removeprefix("/api/public/v1")]
        return httpx.Response(204) if found is None else httpx.Response(200, json=found)

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(Api, "from_environment", lambda: Api("http://platform", "key", transport))
    return requests


def test_a_person_is_erased_only_when_that_is_confirmed(asked: list[httpx.Request]) -> None:
    refused = _runner.invoke(app, ["people", "erase", "ann@example.org"], input="n\n")
    assert refused.exit_code == 1
    assert asked == []
    done = _runner.invoke(app, ["people", "erase", "ann@example.org", "--yes"])
    assert (done.exit_code, done.output) == (0, "ordered: e1\n")
    assert asked[0].url.params["confirm"] == "ann@example.org"


def test_what_is_kept_about_a_person_is_printed_as_json(asked: list[httpx.Request]) -> None:
    done = _runner.invoke(app, ["people", "export", "ann@example.org", "--json"])
    assert json.loads(done.output) == {
        "address": "ann@example.org",
        "hits": [],
        "ledger": {"deliveries": [], "leads": [{"id": "l1"}]},
    }
    assert {request.method for request in asked} == {"GET"}


def test_a_webhook_is_made_replayed_and_removed(asked: list[httpx.Request]) -> None:
    words = ["webhooks", "add", "https://a.test/", "--event", "reply.detected"]
    assert "whsec_x" in _runner.invoke(app, words).output
    assert json.loads(asked[0].content) == {"url": "https://a.test/", "events": ["reply.detected"]}
    words = ["webhooks", "replay", "w1", "2026-11-21T08:00:00Z"]
    assert _runner.invoke(app, words).output == "3 messages are queued again\n"
    assert _runner.invoke(app, ["webhooks", "remove", "w1"]).output == "removed w1\n"


def test_a_rescore_is_ordered_and_waited_for(asked: list[httpx.Request]) -> None:
    words = ["tracker", "rescore", "--since", "2026-11-01T00:00:00Z", "--campaign", "c1"]
    done = _runner.invoke(app, [*words, "--dry-run", "--json"])
    assert json.loads(done.output)["changed"] == 3
    assert json.loads(asked[0].content) == {
        "since": "2026-11-01T00:00:00+00:00",
        "campaign_id": "c1",
        "dry_run": True,
    }
    assert [request.method for request in asked] == ["POST", "GET"]
    refused = _runner.invoke(app, ["tracker", "rescore", "--since", "yesterday"])
    assert refused.exit_code == 2
