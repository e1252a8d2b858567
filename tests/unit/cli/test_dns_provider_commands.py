"""`postfleet dns-providers`: secrets come from the environment or a prompt, and are never shown."""

import json

import pytest

from postfleet_cli.exits import Refused
from tests.unit.cli.conftest import ScriptedPlatform

MADE = {"name": "main", "provider": "cloudflare", "zones": ["one.test"]}


@pytest.mark.parametrize("asked", [False, True], ids=["from the environment", "asked for"])
def test_an_account_is_added_and_its_secret_is_not_shown(
    scripted: ScriptedPlatform, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.delenv("CLOUDFLARE_TOKEN", raising=False)
    if not asked:
        monkeypatch.setenv("CLOUDFLARE_TOKEN", "t0p-secret")
    scripted.answers["POST", "/dns-providers"] = MADE
    text = "t0p-secret\n" if asked else None
    printed = scripted.run("dns-providers", "add", "main", "cloudflare", text=text)
    body = json.loads(scripted.requests[-1].content)
    assert body["credentials"] == {"token": "t0p-secret"}
    assert "one.test" in printed
    assert "t0p-secret" not in printed


def test_an_unknown_provider_is_refused(scripted: ScriptedPlatform) -> None:
    with pytest.raises(Refused, match="cloudflare, digitalocean, route53"):
        scripted.run("dns-providers", "add", "main", "bind")
    assert scripted.requests == []


def test_accounts_are_listed_and_removed(scripted: ScriptedPlatform) -> None:
    item = {"name": "main", "provider": "route53", "created_at": "2026-01-01T00:00:00Z"}
    scripted.answers["GET", "/dns-providers"] = {"items": [item], "next_cursor": None}
    scripted.answers["DELETE", "/dns-providers/main"] = {"name": "main", "state": "deleted"}
    assert "route53" in scripted.run("dns-providers", "list")
    assert "deleted" in scripted.run("dns-providers", "remove", "main")
