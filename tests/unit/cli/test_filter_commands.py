"""`postfleet filters`: each command changes one thing and keeps the others."""

import json
from typing import Any

import pytest

from postfleet_cli.exits import ExitCode, Refused
from tests.unit.cli.conftest import ScriptedPlatform

ANN = "ann@one.test"
NEWS = {"conditions": [], "move_to": "News", "forward_to": [], "keep": True, "stop": False}


def there(scripted: ScriptedPlatform, **answer: Any) -> None:
    known = {"mailbox": ANN, "state": "none", "rules": [], "vacation": None, **answer}
    scripted.answers["GET", f"/filters/{ANN}"] = known
    scripted.answers["PUT", f"/filters/{ANN}"] = known
    scripted.answers["DELETE", f"/filters/{ANN}"] = {"mailbox": ANN, "state": "deleted"}


def sent(scripted: ScriptedPlatform) -> tuple[str, Any]:
    last = scripted.requests[-1]
    return last.method, json.loads(last.content) if last.content else None


@pytest.mark.seed("S53", "S137")
def test_a_vacation_keeps_the_rules(scripted: ScriptedPlatform) -> None:
    there(scripted, state="active", rules=[NEWS])
    scripted.run("filters", "vacation", ANN, "--text", "Away", "--last-day", "2027-01-03")
    method, body = sent(scripted)
    assert (method, body["rules"], body["other_script"]) == ("PUT", [NEWS], "refuse")
    assert (body["vacation"]["text"], body["vacation"]["last_day"]) == ("Away", "2027-01-03")


@pytest.mark.seed("S119")
def test_a_rule_is_added_behind_the_others(scripted: ScriptedPlatform) -> None:
    there(scripted, state="active", rules=[NEWS])
    words = ("--to", "x@else.test", "--if", "Subject: invoice: 7", "--no-keep", "--include")
    scripted.run("filters", "forward", ANN, *words)
    _, body = sent(scripted)
    assert body["other_script"] == "include"
    assert body["rules"] == [
        NEWS,
        {
            "conditions": [{"header": "Subject", "text": "invoice: 7"}],
            "forward_to": ["x@else.test"],
            "keep": False,
            "stop": False,
        },
    ]
    scripted.run("filters", "move", ANN, "--to", "Lists")
    assert sent(scripted)[1]["rules"][1]["move_to"] == "Lists"


@pytest.mark.parametrize(
    ("words", "method", "left"),
    [
        (("--rule", "1"), "PUT", ["Other"]),
        ((), "DELETE", None),
    ],
)
def test_one_rule_or_all_go(
    scripted: ScriptedPlatform, words: tuple[str, ...], method: str, left: list[str] | None
) -> None:
    there(scripted, state="active", rules=[NEWS, {**NEWS, "move_to": "Other"}])
    scripted.run("filters", "remove", ANN, *words)
    how, body = sent(scripted)
    assert how == method
    assert left is None or [rule["move_to"] for rule in body["rules"]] == left


def test_the_last_rule_takes_the_script_with_it(scripted: ScriptedPlatform) -> None:
    there(scripted, state="active", rules=[NEWS])
    scripted.run("filters", "remove", ANN, "--rule", "1")
    assert sent(scripted)[0] == "DELETE"


@pytest.mark.parametrize(
    ("words", "state", "code"),
    [
        (("vacation", ANN, "--text", ""), "none", ExitCode.USAGE),
        (("move", ANN, "--to", "A", "--if", "Subject"), "none", ExitCode.USAGE),
        (("remove", ANN, "--rule", "2"), "active", ExitCode.USAGE),
        (("move", ANN, "--to", "A"), "changed_by_hand", ExitCode.REFUSED),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    scripted: ScriptedPlatform, words: tuple[str, ...], state: str, code: ExitCode
) -> None:
    there(scripted, state=state)
    with pytest.raises(Refused) as refused:
        scripted.run("filters", *words)
    assert refused.value.code == code
    assert all(request.method == "GET" for request in scripted.requests)


def test_the_list_shows_who_has_filters(scripted: ScriptedPlatform) -> None:
    items = [{"mailbox": ANN, "rules": [NEWS], "vacation": None}]
    scripted.answers["GET", "/filters"] = {"items": items, "next_cursor": None}
    assert ANN in scripted.run("filters", "list")
