"""The flight simulator: repeats itself, breaks no limit, and its auditor would see it if one broke."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.simulate.auditor import RULES, Auditor
from postfleet_cli.simulate.command import simulate
from postfleet_cli.simulate.flight import Attempt, Flight, Timeline
from postfleet_cli.simulate.options import SCENARIOS, Options
from postfleet_cli.simulate.report import report, to_json

SMALL = Options(senders=20, leads=1500, days=6)


@pytest.fixture(scope="module")
def flight() -> Flight:
    found = Flight(SMALL)
    found.fly()
    return found


@pytest.mark.seed("S28", "S32", "S40", "S42", "S267")
def test_no_limit_is_violated_whatever_goes_wrong(flight: Flight) -> None:
    found = report(flight)
    assert found["violations_by_rule"] == dict.fromkeys(sorted(RULES), 0)
    assert found["mails_accepted"] > 1000
    for happened in ("greylisted", "unknown_user", "mailbox_full"):
        assert found["refusals_by_category"][happened] > 0
    for back in ("reply", "dsn", "out-of-office"):
        assert found["came_back"][back] > 0


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    tiny = Options(senders=5, leads=100, days=2)

    def fly(options: Options) -> str:
        one = Flight(options)
        one.fly()
        return to_json(report(one))

    assert fly(tiny) == fly(tiny)
    assert fly(tiny) != fly(replace(tiny, seed=2))


def _accepted(timeline: Timeline) -> Attempt:
    return next(one for one in timeline.attempts if one.code == 250)


def _other_sender(one: Attempt) -> Attempt:
    return replace(one, sender=(one.sender + 1) % SMALL.senders)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        pytest.param("gap", lambda one: [one, replace(one, at=one.at + 1)], id="too soon"),
        pytest.param("sent twice", lambda one: [one, replace(one, at=one.at + 60_000)], id="twice"),
        pytest.param(
            "daily limit",
            lambda one: [replace(one, at=one.at + n * 30_000) for n in range(101)],
            id="101 on one day",
        ),
        pytest.param("window", lambda one: [replace(one, at=one.at - 7 * 3600_000)], id="at night"),
        pytest.param("sticky sender", lambda one: [one, _other_sender(one)], id="another sender"),
        pytest.param("step too early", lambda one: [one, replace(one, step=1)], id="no delay"),
        pytest.param(
            "cooldown",
            lambda one: [
                replace(one, at=one.at + n * 30_000, code=535, fault="sender") for n in range(4)
            ],
            id="a fourth error in a row",
        ),
        pytest.param(
            "mail after the end",
            lambda one: [
                replace(one, code=550, fault="recipient"),
                replace(one, at=one.at + 30_000),
            ],
            id="after a hard bounce",
        ),
        pytest.param(
            "health below 20",
            lambda one: [
                replace(
                    one,
                    at=one.at + n * 30_000,
                    lead=replace(one.lead, id=f"l{n}"),
                    code=550,
                    fault="recipient",
                )
                for n in range(8)
            ],
            id="health 10",
        ),
    ],
)
def test_the_auditor_sees(
    flight: Flight, rule: str, change: Callable[[Attempt], list[Attempt]]
) -> None:
    forged = Flight(replace(SMALL, leads=1))
    forged.senders, forged.campaigns, forged.leads = flight.senders, flight.campaigns, flight.leads
    forged.timeline = Timeline(attempts=change(_accepted(flight.timeline)))
    assert Auditor(forged).audit()[rule] > 0


def test_the_report_and_its_picture_are_written(tmp_path: Path) -> None:
    simulate(senders=3, leads=30, days=1, seed=1, scenario="greylisting", out=tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["options"]["scenarios"] == ["greylisting"]
    assert (tmp_path / "report.svg").read_text().startswith("<?xml")


def test_an_unknown_scenario_is_refused_by_name() -> None:
    with pytest.raises(Refused) as caught:
        simulate(senders=1, leads=1, days=1, seed=1, scenario="greylisting,meteors")
    assert caught.value.code == ExitCode.USAGE
    assert caught.value.lines == (
        f"--scenario: unknown: meteors; there are {', '.join(SCENARIOS)}",
    )
