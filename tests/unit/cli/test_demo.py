"""The demo against a platform and a mail world that answer as they are told."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from postfleet_cli import demo, demo_command
from postfleet_cli.demo_report import Figure
from postfleet_cli.main import app

_FIGURES = {"sent": 3, "opened": 1, "clicked": 0, "replied": 0, "bounced_hard": 0}
_WORLD = {**_FIGURES, "accepted": 3, "unsubscribed": 0, "pending_actions": 0}


class World:
    """Platform and sandbox in one; remembers what was created."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.campaigns: list[dict[str, Any]] = []
        self.outages = 0  # so many more looks at the campaign meet a 503

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/public/v1")
        if path == "/leads.csv":
            return httpx.Response(200, text="email\nada@people.test\n")
        if request.method == "POST":
            self.posts.append(path)
            return httpx.Response(200, json=self._created(path, request))
        return self._shown(path)

    def _created(self, path: str, request: httpx.Request) -> dict[str, Any]:
        if path == "/campaigns":
            wanted = json.loads(request.content)
            self.campaigns.append({"id": "c1", "name": wanted["name"], "status": "draft"})
            return self.campaigns[0]
        if path == "/campaigns/c1/start":
            self.campaigns[0]["status"] = "completed"
        if path == "/accounts":
            hosts = {"smtp_host": "sandbox", "imap_host": "sandbox"}
            return {**hosts, "smtp_port": 2, "imap_port": 3}
        report = {"imported": 1, "duplicates": 0, "invalid": 0, "rows": []}
        return {"id": path, "status": "ready", **report}

    def _shown(self, path: str) -> httpx.Response:
        if path == "/campaigns/c1":
            self.outages -= 1
            if self.outages >= 0:
                return httpx.Response(503, json={"code": "UNAVAILABLE"})
            return httpx.Response(200, json=self.campaigns[0])
        answers = {
            "/campaigns": {"items": self.campaigns, "next_cursor": None},
            "/sender-accounts": {"items": [], "next_cursor": None},
            "/analytics/overview": _FIGURES,
            "/summary": _WORLD,
        }
        return httpx.Response(200, json=answers[path])


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[World], Any]:
    monkeypatch.setattr(demo, "_POLL_S", 0.01)
    monkeypatch.setattr(demo, "_QUIET_S", 0.05)
    real = httpx.AsyncClient

    async def run(world: World) -> str:
        def client(**options: Any) -> httpx.AsyncClient:
            return real(transport=httpx.MockTransport(world), **options)

        monkeypatch.setattr(httpx, "AsyncClient", client)
        printed = StringIO()
        await demo.run("http://platform", "key", "http://sandbox", Console(file=printed, width=100))
        return printed.getvalue()

    return run


async def test_it_registers_creates_imports_starts_and_sums_up(
    play: Callable[[World], Any],
) -> None:
    world = World()
    printed = await play(world)
    assert world.posts == [
        *("/accounts", "/sender-accounts") * 2,
        "/campaigns",
        "/campaigns/c1/leads",
        "/campaigns/c1/start",
    ]
    assert printed.count("✓") == 6


async def test_a_second_play_creates_nothing(play: Callable[[World], Any]) -> None:
    world = World()
    await play(world)
    world.posts.clear()
    assert "is there already (completed)" in await play(world)
    assert world.posts == []


async def test_a_service_that_is_started_again_meanwhile_does_not_end_it(
    play: Callable[[World], Any],
) -> None:
    world = World()
    world.outages = 5
    printed = await play(world)
    assert "the demo stopped" not in printed
    assert printed.count("✓") == 6


def test_the_command_prints_both_figures_and_fails_if_they_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTFLEET_API_KEY", "key")
    told: list[tuple[str, ...]] = []

    async def run(url: str, key: str, control: str, console: Console) -> list[Figure]:
        told.append((url, key, control))
        return [Figure("sent", 3, 3), Figure("opened", 1, differing)]

    monkeypatch.setattr(demo_command, "run", run)
    for differing, code in ((1, 0), (2, 1)):
        done = CliRunner().invoke(app, ["demo", "--sandbox", "http://box:1/", "--json"])
        assert done.exit_code == code
        assert json.loads(done.stdout)["figures"][1] == {
            "name": "opened",
            "postfleet": 1,
            "ledger": differing,
        }
    assert told[0] == ("http://127.0.0.1:8080", "key", "http://box:1")
