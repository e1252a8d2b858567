"""`postfleet pauses`: what was paused together is told, and let go again."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.main import app

PAUSE = {
    "id": "provider:gmail",
    "kind": "provider",
    "value": "gmail",
    "status": "paused",
    "paused_at": "2026-11-21T08:00:00.000Z",
    "senders": ["s1", "s2", "s3"],
    "reason": "3 senders lost health",
}
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, list[str]]]:
    def _run(answer: Answer, *words: str) -> tuple[Result, list[str]]:
        asked: list[str] = []

        def noted(request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url.path}")
            return answer(request)

        api = Api("http://platform", "key", httpx.MockTransport(noted))
        monkeypatch.setattr(Api, "from_environment", lambda: api)
        return CliRunner().invoke(app, ["pauses", *words], terminal_width=200), asked

    return _run


def _page(*items: dict[str, Any]) -> Answer:
    return lambda _: httpx.Response(200, json={"items": items, "next_cursor": None})


def test_the_list_says_what_since_when_how_many_senders_and_why(run: Any) -> None:
    done, asked = run(_page(PAUSE), "list")
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    for word in ("provider:gmail", "paused", "3", "lost"):
        assert word in told
    assert asked == ["GET /api/public/v1/pauses"]


def test_for_programs_it_is_the_documents_of_the_api(run: Any) -> None:
    done, _ = run(_page(PAUSE), "list", "--json")
    assert json.loads(done.stdout) == [PAUSE]
    done, _ = run(_page(), "list", "--json")
    assert json.loads(done.stdout) == []


def test_nothing_paused_is_said_in_words(run: Any) -> None:
    done, _ = run(_page(), "list")
    assert done.stdout.strip() == "nothing is paused, and nothing was"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_pause_is_resumed_by_its_id_and_shown(run: Any, options: tuple[str, ...]) -> None:
    resumed = {**PAUSE, "status": "resumed"}
    done, asked = run(lambda _: httpx.Response(200, json=resumed), "resume", PAUSE["id"], *options)
    assert done.exit_code == 0
    assert "resumed" in done.stdout
    assert asked == ["POST /api/public/v1/pauses/provider:gmail/resume"]


def test_an_unknown_pause_is_refused_with_what_the_platform_says(run: Any) -> None:
    problem = {"title": "Not found", "detail": "there is no pause provider:x", "code": "NOT_FOUND"}
    done, _ = run(lambda _: httpx.Response(404, json=problem), "resume", "provider:x")
    assert isinstance(done.exception, Refused)
    assert done.exception.code is ExitCode.REFUSED
    assert "there is no pause provider:x" in str(done.exception)
