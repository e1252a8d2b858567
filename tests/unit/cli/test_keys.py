"""`postfleet keys rotate`: page after page, and what opens with no key is named."""

import json
from typing import Any

import httpx
import pytest

from postfleet_cli.exits import ExitCode, Refused
from tests.unit.cli.conftest import ScriptedPlatform

_PATH = ("POST", "/sender-accounts/rotate-keys")


def _pages(scripted: ScriptedPlatform, unreadable: list[str]) -> list[Any]:
    """Three pages of a registry; the cursors that were asked for."""
    cursors: list[Any] = []

    def page(request: httpx.Request) -> httpx.Response:
        cursors.append(json.loads(request.content)["cursor"])
        last = len(cursors) == 3
        body = {"key_id": "k2", "rewrapped": 4, "unchanged": 1, "unreadable": []}
        body |= {"unreadable": unreadable} if last else {}
        return httpx.Response(200, json={**body, "next_cursor": None if last else len(cursors)})

    scripted.answers[_PATH] = page
    return cursors


def test_every_page_is_sealed_again(scripted: ScriptedPlatform) -> None:
    cursors = _pages(scripted, [])
    assert "12 senders are sealed with key k2 now" in scripted.run("keys", "rotate")
    assert cursors == [None, 1, 2]


def test_what_was_sealed_is_one_document(scripted: ScriptedPlatform) -> None:
    _pages(scripted, [])
    told = json.loads(scripted.run("keys", "rotate", "--json"))
    assert told == {"key_id": "k2", "rewrapped": 12, "unchanged": 3, "unreadable": []}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_secrets_that_open_with_no_key_are_named_and_end_it_with_1(
    form: tuple[str, ...], scripted: ScriptedPlatform
) -> None:
    _pages(scripted, ["s7"])
    with pytest.raises(Refused) as refused:
        scripted.run("keys", "rotate", *form)
    assert refused.value.code == ExitCode.REFUSED
    assert "s7: set its password again" in refused.value.lines[1]
