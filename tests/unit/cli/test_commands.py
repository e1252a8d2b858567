"""The commands' requests, and what they print and end with when the platform says no."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.main import app
from postfleet_cli.output import lines

Answer = Callable[[httpx.Request], httpx.Response]
_runner = CliRunner()


class _Platform:
    """Records requests and gives prepared answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], Answer | dict[str, object]] = {}
        transport = httpx.MockTransport(self._answer)
        made = lambda: Api("http://platform", "key", transport)  # noqa: E731
        monkeypatch.setattr(Api, "from_environment", made)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/public/v1")
        answer = self.answers[request.method, path]
        return httpx.Response(200, json=answer) if isinstance(answer, dict) else answer(request)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> _Platform:
    return _Platform(monkeypatch)


def _invoke(*words: str, text: str | None = None) -> str:
    result = _runner.invoke(app, words, input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_adding_a_sender_sends_what_was_said_and_nothing_else(platform: _Platform) -> None:
    platform.answers["POST", "/sender-accounts"] = {"id": "s1", "status": "ready"}
    printed = _invoke(
        *("senders", "add", "me@example.org", "--smtp-host", "mail.example.org"),
        *("--smtp-port", "587", "--imap-host", "imap.example.org"),
        text="secret\n",
    )
    assert json.loads(platform.requests[0].content) == {
        "email_address": "me@example.org",
        "inbox_type": "CUSTOM_SMTP",
        "smtp_host": "mail.example.org",
        "smtp_port": 587,
        "smtp_password": "secret",
        "imap_host": "imap.example.org",
        "imap_password": "secret",
    }
    assert platform.requests[0].headers["x-api-key"] == "key"
    assert "id: s1" in printed
    assert "secret" not in printed


def test_lists_are_read_page_by_page(platform: _Platform) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        first = "cursor" not in request.url.params
        item = {"id": "c1" if first else "c2", "name": "A", "status": "draft"}
        return httpx.Response(200, json={"items": [item], "next_cursor": "x" if first else None})

    platform.answers["GET", "/campaigns"] = page
    assert [c["id"] for c in json.loads(_invoke("campaigns", "list", "--json"))] == ["c1", "c2"]


def test_an_import_reports_each_row_that_was_left_out(platform: _Platform, tmp_path: Path) -> None:
    rows = [{"row": 3, "field": "email", "reason": "no @"}]
    report = {"imported": 1, "duplicates": 0, "invalid": 1, "rows": rows}
    platform.answers["POST", "/campaigns/c1/leads"] = report
    leads = tmp_path / "leads.csv"
    leads.write_bytes(b"email\na@b.test\nx\n")
    printed = _invoke("campaigns", "import", "c1", str(leads))
    assert platform.requests[0].headers["content-type"] == "text/csv"
    assert platform.requests[0].content == leads.read_bytes()
    assert "1 leads imported, 0 duplicates and 1 unusable rows left out" in printed
    assert "row 3, email: no @" in printed


@pytest.mark.parametrize("verb", ["start", "pause", "resume"])
def test_a_campaign_is_told_what_to_do(platform: _Platform, verb: str) -> None:
    platform.answers["POST", f"/campaigns/c1/{verb}"] = {"id": "c1", "status": "running"}
    assert "status: running" in _invoke("campaigns", verb, "c1")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 77), (403, 77), (404, 1), (409, 1), (422, 1), (503, 69)],
)
def test_a_refusal_becomes_an_exit_code_and_names_the_fields(
    platform: _Platform, status: int, code: int
) -> None:
    problem = {
        "detail": "that is wrong",
        "code": "INVALID",
        "errors": [{"field": "smtp_host", "code": "AUTH_FAILED", "message": "try another one"}],
    }
    platform.answers["GET", "/campaigns/c1/stats"] = lambda _: httpx.Response(status, json=problem)
    with pytest.raises(Refused) as caught:
        _invoke("campaigns", "stats", "c1")
    assert caught.value.code == code
    assert caught.value.lines == (
        "that is wrong (INVALID)",
        "  smtp_host: try another one (AUTH_FAILED)",
    )


def test_the_key_beside_the_project_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="POSTFLEET_API_KEY") as caught:
        Api.from_environment({})
    assert caught.value.code == ExitCode.CONFIG
    (tmp_path / ".postfleet").mkdir()
    (tmp_path / ".postfleet/api-key").write_text("kept\n")
    assert Api.from_environment({}).url == "http://127.0.0.1:8080"


def test_a_refused_command_ends_with_its_code_and_one_line(tmp_path: Path) -> None:
    environ = {**os.environ, "POSTFLEET_URL": "http://127.0.0.1:1", "POSTFLEET_API_KEY": "k" * 16}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "postfleet"), "senders", "list"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "does not answer" in done.stderr


def test_help_tells_the_exit_codes() -> None:
    printed = " ".join(_invoke("--help").split())
    for code in ExitCode:
        assert f" {code.value} " in printed


def test_documents_are_printed_as_indented_lines_without_what_is_empty() -> None:
    document = {"id": "x", "limits": {"day": 5}, "gone": None, "tags": [], "on": True}
    assert list(lines(document)) == ["id: x", "limits:", "  day: 5", "on: yes"]
