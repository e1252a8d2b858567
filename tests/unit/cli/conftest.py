"""A platform that records requests and gives prepared answers, and the command line to it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli.api import Api
from postfleet_cli.main import app

Answer = Callable[[httpx.Request], httpx.Response]


class ScriptedPlatform:
    """`answers` maps (method, path below the API) to a document, or to who makes the answer."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], Answer | dict[str, Any]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/public/v1")
        answer = self.answers[request.method, path]
        return httpx.Response(200, json=answer) if isinstance(answer, dict) else answer(request)

    def run(self, *words: str, text: str | None = None, code: int = 0) -> str:
        """What the command prints. Fails if it ends with another code."""
        result = CliRunner().invoke(app, words, input=text, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedPlatform:
    platform = ScriptedPlatform()
    transport = httpx.MockTransport(platform.answer)
    made = lambda: Api("http://platform", "key", transport)  # noqa: E731
    monkeypatch.setattr(Api, "from_environment", made)
    monkeypatch.setenv("COLUMNS", "80")
    return platform
