"""The commands on senders: what they ask of the platform, and what they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from postfleet_cli.api import Api
from postfleet_cli.exits import Refused
from postfleet_cli.main import app

ACCOUNTS = "/sender-accounts"
ANN = {"id": "s1", "email_address": "ann@one.test", "status": "ready", "health": 100}
GOOGLE: dict[str, Any] = {
    "found_by": "mx",
    "inbox_type": "GOOGLE_WORKSPACE",
    "smtp_host": "smtp.gmail.com",
    "smtp_port": 587,
    "smtp_username": "ann@one.test",
    "imap_host": "imap.gmail.com",
    "imap_port": 993,
    "imap_username": "ann@one.test",
    "preset": {"guide": ["Open your account."], "note": None, "hint": "use an app password"},
}
Answer = Callable[[httpx.Request], httpx.Response]


class Platform:
    """Answers by method and path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: dict[tuple[str, str], Any] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/public/v1")
        body = json.loads(request.content) if request.content else dict(request.url.params)
        self.asked.append((request.method, path, body))
        answer = self.answers[request.method, path]
        if callable(answer):
            answered: httpx.Response = answer(body)
            return answered
        return httpx.Response(200, json=answer)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    found = Platform()
    transport = httpx.MockTransport(found.answer)
    monkeypatch.setattr(Api, "from_environment", lambda: Api("http://platform", "k", transport))
    found.answers["GET", ACCOUNTS] = {"items": [ANN], "next_cursor": None}
    found.answers["GET", f"{ACCOUNTS}/s1"] = ANN
    return found


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, words, input=text)


@pytest.mark.seed("S12", "S18", "S249")
def test_adding_finds_the_servers_and_asks_for_an_app_password(platform: Platform) -> None:
    platform.answers["POST", f"{ACCOUNTS}/discover"] = GOOGLE
    platform.answers["POST", ACCOUNTS] = ANN
    result = run("senders", "add", "ann@one.test", "--json", text="canary\n")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == ANN
    assert "found by mx: smtp.gmail.com:587, imap.gmail.com:993" in result.stderr
    assert "use an app password" in result.stderr
    _, _, body = platform.asked[-1]
    assert body["inbox_type"] == "GOOGLE_WORKSPACE"
    assert (body["smtp_host"], body["imap_host"]) == ("smtp.gmail.com", "imap.gmail.com")
    assert (body["smtp_password"], body["imap_password"]) == ("canary", "canary")
    assert "canary" not in result.output


def test_an_address_without_known_servers_asks_for_them(platform: Platform) -> None:
    platform.answers["POST", f"{ACCOUNTS}/discover"] = {
        "found_by": "nobody",
        "problem": "the domain one.test does not exist",
        "smtp_host": None,
    }
    result = run("senders", "add", "ann@one.test", text="x\n")
    assert isinstance(result.exception, Refused)
    assert "--smtp-host" in str(result.exception)
    assert "does not exist" in str(result.exception)
    assert [asked[1] for asked in platform.asked] == [f"{ACCOUNTS}/discover"]


@pytest.mark.parametrize("which", ["s1", "ANN@one.test"])
def test_a_sender_is_named_by_its_id_or_its_address(platform: Platform, which: str) -> None:
    result = run("senders", "show", which, "--json")
    assert json.loads(result.stdout) == ANN


def test_an_unknown_address_is_refused(platform: Platform) -> None:
    result = run("senders", "show", "bob@one.test")
    assert isinstance(result.exception, Refused)


@pytest.mark.seed("S308")
@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("validate", "s1"), "s1/validate", {}),
        (("suspend", "s1", "--reason", "x"), "s1/suspend", {"reason": "x"}),
        (("resume", "s1"), "s1/resume", {}),
        (("suspend-domain", "a.test"), "suspend-domain", {"domain": "a.test", "reason": ""}),
        (("resume-domain", "a.test"), "resume-domain", {"domain": "a.test"}),
    ],
)
def test_actions_are_asked_for(
    platform: Platform, words: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    platform.answers["POST", f"{ACCOUNTS}/{path}"] = ANN
    result = run("senders", *words)
    assert result.exit_code == 0, result.output
    assert platform.asked[-1] == ("POST", f"{ACCOUNTS}/{path}", body)


@pytest.mark.seed("S274", "S301")
@pytest.mark.parametrize("text", ["ann@one.test\n", None])
def test_deleting_asks_for_the_address_again(platform: Platform, text: str | None) -> None:
    platform.answers["DELETE", f"{ACCOUNTS}/s1"] = lambda _: httpx.Response(204)
    confirm = () if text else ("--confirm", "ann@one.test")
    result = run("senders", "delete", "s1", *confirm, text=text)
    assert result.exit_code == 0, result.output
    assert platform.asked[-1] == ("DELETE", f"{ACCOUNTS}/s1", {"confirm": "ann@one.test"})


def test_importing_reports_on_every_line_and_goes_on(platform: Platform, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        if body["email_address"].startswith("bad"):
            problem = {"detail": "the SMTP log-in fails", "code": "AUTH_FAILED"}
            return httpx.Response(422, json=problem)
        return httpx.Response(201, json={**ANN, **body})

    platform.answers["POST", ACCOUNTS] = answer
    file = tmp_path / "senders.csv"
    good = [f"s{n}@one.test,pw,587,a;b,true" for n in range(30)]
    header = "email_address,smtp_password,smtp_port,tags,warmup_mode"
    file.write_text("\n".join([header, *good, "bad@one.test,pw,,,"]))
    result = run("senders", "import", str(file), "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [row["line"] for row in report] == list(range(2, 33))
    assert [row["ok"] for row in report] == [True] * 30 + [False]
    assert "AUTH_FAILED" in report[-1]["detail"]
    first = next(body for *_, body in platform.asked if body["email_address"] == "s0@one.test")
    assert first == {
        "email_address": "s0@one.test",
        "smtp_password": "pw",
        "smtp_port": 587,
        "tags": ["a", "b"],
        "warmup_mode": True,
    }


@pytest.mark.parametrize(
    "text", ["name\nx\n", "email_address\na@b.test,too,many\n", b"\xff\xfe".decode("latin-1")]
)
def test_a_file_that_is_no_list_of_senders_is_refused_before_anything_is_asked(
    platform: Platform, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "senders.csv"
    file.write_text(text, encoding="latin-1")
    result = run("senders", "import", str(file))
    assert isinstance(result.exception, Refused)
    assert platform.asked == []


@pytest.mark.seed("S24", "C33")
def test_rotating_keys_goes_page_by_page_and_names_what_does_not_open(
    platform: Platform,
) -> None:
    pages = iter(
        [
            {"rewrapped": 2, "unchanged": 1, "unreadable": [], "next_cursor": "c"},
            {"rewrapped": 1, "unchanged": 0, "unreadable": ["s9"], "next_cursor": None},
        ]
    )
    answer: Answer = lambda _: httpx.Response(200, json={"key_id": "k2", **next(pages)})  # noqa: E731
    platform.answers["POST", f"{ACCOUNTS}/rotate-keys"] = answer
    result = run("keys", "rotate")
    assert "3 senders are sealed with key k2 now" in result.stdout
    assert isinstance(result.exception, Refused)
    assert "s9" in str(result.exception)
    assert [body for *_, body in platform.asked] == [{"cursor": None}, {"cursor": "c"}]


def test_in_eighty_columns_an_address_is_read_whole(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    address = "margaret.hamilton@mail.acme.test"
    senders = [ANN | {"id": "01a2007e7c2c61878071e17ae68109d1", "email_address": address}]
    platform.answers["GET", ACCOUNTS] = {"items": senders, "next_cursor": None}
    printed = run("senders", "list").output
    assert address in printed
    assert max(map(len, printed.splitlines())) <= 80
