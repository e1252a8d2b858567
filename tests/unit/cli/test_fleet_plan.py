"""The difference between fleet.yaml and what there is."""

import time
from pathlib import Path
from typing import Any

import pytest

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.fleet_file import Fleet, load, secret_of
from postfleet_cli.fleet_plan import Actual, plan

FILE = """\
domains:
  - name: One.test
    dmarc: {policy: none}
    dns: apply
    mailboxes: [{prefix: ann}]
    aliases: {sales: [ANN@one.test]}
    groups: {team: [ann@one.test, zoe@else.test]}
    catch_all: [ann@one.test]
    relay: {preset: ses, region: eu-west-1, username: AKIA, password_env: SES_PASSWORD}
senders:
  - {domain: one.test, prefix: alex, daily_limit: 50}
blocklist: [spam.test, 192.0.2.9/24]
"""

VERIFIED = {
    "name": "one.test",
    "state": "verified",
    "mail": "full",
    "dmarc": {"policy": "none", "pct": None},
}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    path = tmp_path / "fleet.yaml"
    path.write_text(FILE)
    return load(path)


def actual(**known: dict[str, dict[str, Any]]) -> Actual:
    names = ("domains", "mailboxes", "aliases", "groups", "catch_alls", "relays", "blocks")
    return Actual(**{name: known.get(name, {}) for name in (*names, "senders")})


def everything() -> dict[str, dict[str, Any]]:
    return {
        "domains": {"one.test": VERIFIED},
        "mailboxes": {
            "ann@one.test": {"state": "live"},
            "alex@one.test": {"state": "live"},
        },
        "aliases": {"sales@one.test": {"state": "written", "targets": ["ann@one.test"]}},
        "groups": {
            "team@one.test": {"state": "written", "members": ["ann@one.test", "zoe@else.test"]}
        },
        "catch_alls": {"one.test": {"state": "written", "targets": ["ann@one.test"]}},
        "relays": {
            "one.test": {"preset": "ses", "host": "h", "port": 587, "username": "AKIA"},
        },
        "blocks": {"spam.test": {}, "192.0.2.0/24": {}},
        "senders": {"alex@one.test": {"id": "s1", "daily_limit": 50}},
    }


def test_a_new_fleet_is_made_in_an_order_that_works(fleet: Fleet) -> None:
    made = plan(fleet, actual())
    assert [(change.verb, change.path) for change in made.changes] == [
        ("POST", "/domains"),
        ("POST", "/domains/one.test/apply"),
        ("POST", "/domains/one.test/verify"),
        ("POST", "/domains/one.test/apply"),
        ("POST", "/mailboxes"),
        ("POST", "/aliases"),
        ("POST", "/groups"),
        ("POST", "/catch-all"),
        ("POST", "/relays"),
        ("POST", "/blocklists"),
        ("POST", "/blocklists"),
        ("POST", "/sender-accounts"),
    ]
    sender = made.changes[-1].body
    assert sender == {"kind": "internal", "domain": "one.test", "prefix": "alex", "daily_limit": 50}


def test_nothing_is_left_to_do_once_everything_is_there(fleet: Fleet) -> None:
    made = plan(fleet, actual(**everything()))
    assert (made.changes, made.unmanaged) == ((), ())


@pytest.mark.parametrize(
    ("kind", "name", "change", "expected"),
    [
        ("domains", "one.test", {"mail": "sending"}, ["PATCH /domains/one.test"]),
        ("domains", "one.test", {"state": "unverified"}, ["POST /domains/one.test/verify"]),
        ("mailboxes", "ann@one.test", {"state": "failed"}, ["POST /mailboxes"]),
        ("aliases", "sales@one.test", {"targets": []}, ["PATCH /aliases/sales@one.test"]),
        ("groups", "team@one.test", {"members": ["x"]}, ["PATCH /groups/team@one.test"]),
        ("catch_alls", "one.test", {"targets": ["x"]}, ["PATCH /catch-all/one.test"]),
        ("relays", "one.test", {"username": "X"}, ["DELETE /relays/one.test", "POST /relays"]),
        ("senders", "alex@one.test", {"daily_limit": 9}, ["PATCH /sender-accounts/s1"]),
    ],
)
def test_what_differs_is_changed_and_nothing_else(
    fleet: Fleet, kind: str, name: str, change: dict[str, Any], expected: list[str]
) -> None:
    known = everything()
    known[kind] = {**known[kind], name: {**known[kind][name], **change}}
    calls = [f"{c.verb} {c.path}" for c in plan(fleet, actual(**known)).changes]
    assert [call for call in calls if not call.endswith("/apply")] == expected


def test_what_is_not_in_the_file_is_told_and_removed_only_when_asked(fleet: Fleet) -> None:
    known = everything()
    known["aliases"]["old@one.test"] = {"state": "written", "targets": ["x@else.test"]}
    known["mailboxes"]["bob@one.test"] = {"state": "live"}
    known["domains"]["two.test"] = {**VERIFIED, "name": "two.test"}
    made = plan(fleet, actual(**known))
    assert made.changes == ()
    assert len(made.unmanaged) == 3
    pruned = plan(fleet, actual(**known), prune=True)
    assert [(c.verb, c.path) for c in pruned.changes] == [("DELETE", "/aliases/old@one.test")]
    assert any("bob@one.test" in line for line in pruned.unmanaged)  # a mailbox is never removed


def test_the_id_of_a_plan_changes_with_what_it_does(fleet: Fleet) -> None:
    first = plan(fleet, actual())
    assert first.id == plan(fleet, actual()).id
    assert first.id != plan(fleet, actual(domains={"one.test": VERIFIED})).id


def test_a_plan_over_500_domains_takes_less_than_a_second(tmp_path: Path) -> None:
    lines = [
        f"- {{name: d{i}.test, mailboxes: [{{prefix: a}}, {{prefix: b}}], "
        f"aliases: {{x: [a@d{i}.test]}}}}"
        for i in range(500)
    ]
    path = tmp_path / "fleet.yaml"
    path.write_text("domains:\n" + "\n".join(lines) + "\n")
    began = time.process_time()
    made = plan(load(path), actual())
    assert len(made.changes) == 500 * 5
    assert time.process_time() - began < 3.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("domains: [{name: a.test, colour: red}]", "domains.0.colour"),
        ("domains: [{name: a.test}, {name: A.test}]", "a.test is there twice"),
        ("domains: [{name: a.test, name: b.test}]", "'name' is there twice"),
        ("domains: [{name: a.test, dmarc: {policy: maybe}}]", "domains.0.dmarc.policy"),
        ("domains: [", "line "),
        ("- a", "the file"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        load(path)
    assert refused.value.code == ExitCode.CONFIG
    assert said in str(refused.value)


def test_a_missing_file_and_a_missing_password_are_named(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")
    relay = fleet.domains[0].relay
    assert relay
    with pytest.raises(Refused, match="SES_PASSWORD"):
        secret_of(relay, {})
    assert secret_of(relay, {"SES_PASSWORD": "x"}) == "x"
