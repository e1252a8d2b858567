"""The commands of a campaign's life, against a dispatcher that runs and a mail world that counts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from postfleet_cli.exits import Refused
from postfleet_cli.main import app
from tests.support.dispatcher import API_KEY, SENDER, Dispatcher, DispatcherWorld

CAMPAIGN: dict[str, Any] = {
    "name": "Spring",
    "senders": ["s1"],
    "steps": [
        {"subject": "Hello {{ name | default: 'you' }}", "body_text": "Hi"},
        {"delay": "P3D", "body_text": "Again"},
    ],
    "postal_address": "1 Main St",
}


class Line:
    """`postfleet …` against one dispatcher."""

    def __init__(self, one: Dispatcher) -> None:
        self._env = {"POSTFLEET_URL": f"http://127.0.0.1:{one.port}", "POSTFLEET_API_KEY": API_KEY}

    async def say(self, *words: str) -> str:
        invoke = CliRunner().invoke
        result = await asyncio.to_thread(invoke, app, words, env=self._env, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    async def told(self, *words: str) -> Any:
        return json.loads(await self.say(*words, "--json"))


async def test_a_campaign_and_a_mail_from_the_command_line_and_why_each_went(
    world: DispatcherWorld, tmp_path: Path
) -> None:
    one = world.dispatcher()
    await one.start()
    await world.until(world._sender_known, "the sender is known")
    line = Line(one)
    (tmp_path / "spring.json").write_text(json.dumps(CAMPAIGN))
    (tmp_path / "leads.csv").write_text("email,name\nada@people.test,Ada\nnonsense,x\n")
    campaign = (await line.told("campaigns", "create", str(tmp_path / "spring.json")))["id"]
    report = await line.told("campaigns", "import", campaign, str(tmp_path / "leads.csv"))
    assert (report["imported"], report["invalid"]) == (1, 1)
    assert "Hello Ada" in await line.say(
        "campaigns", "preview", campaign, "--lead", "ada@people.test"
    )
    assert "step 1 is next, but the campaign is draft" in await line.say("why", "ada@people.test")
    tried = await line.told("campaigns", "test", campaign, "--to", "me@people.test")
    assert tried["subject"] == "Hello Ada"
    await line.say("campaigns", "start", campaign)
    rows = await world.settled(campaign, 1)
    delivery = rows["ada@people.test"]["_id"]
    account = await line.say("why", delivery)
    assert f"{delivery} to ada@people.test: accepted" in account
    assert "planned for s1" in account
    assert "attempt 1: accepted; the server said 250" in account
    person = await line.say("why", "Ada@people.test")
    assert "campaign Spring: step 2 is next, at" in person
    assert delivery in person
    await line.say("campaigns", "pause", campaign)
    assert [c["status"] for c in await line.told("campaigns", "list")] == ["paused"]
    await line.say("campaigns", "resume", campaign)
    assert "status: running" in await line.say("campaigns", "stats", campaign)
    copy = (await line.told("campaigns", "duplicate", campaign, "--name", "Fall"))["id"]
    await line.say("campaigns", "delete", copy, "--yes")
    with pytest.raises(Refused, match="there is no campaign"):
        await line.say("campaigns", "show", copy)

    words = ("--from", SENDER, "--subject", "Offer", "--text", "Here it is")
    taken = await line.told("send", "--to", "bob@people.test", *words)

    async def accepted() -> bool:
        return world.accepted()["bob@people.test"] == 1

    await world.until(accepted, "the mail is accepted", one.tail)

    async def told() -> bool:
        return "accepted; the server said 250" in await line.say("why", taken["delivery_id"])

    await world.until(told, "its account", one.tail)
