"""Third parties' lists of user agents: their machines are machines here, their readers are none."""

from importlib.resources import files

import device_detector
import pytest
import yaml
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from postfleet.events.tracking import Verdict
from tracker.domain.verdicts import judge_agent

_FIXTURES = files(device_detector) / "tests/fixtures/upstream"
_BOTS_KNOWN = 0.8  # of that list's; the others call themselves by a name that says nothing
_BROWSERS_MISTAKEN = 0.003  # shells around web pages and browsers of the nineties
_READERS = (
    "desktop",
    "desktop-1",
    "smartphone",
    "smartphone-20",
    "smartphone-43",
    "tablet",
    "phablet",
)


def _agents(name: str) -> list[dict[str, object]]:
    """The cases of a file of the Matomo project's device detector, as its Python port carries them."""
    text = (_FIXTURES / f"{name}.yml").read_text()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [case for case in yaml.load(text, Loader=loader) if case.get("user_agent")]


@pytest.mark.seed("S171")
def test_crawler_user_agents_are_all_machines() -> None:
    instances = [agent for entry in CRAWLER_USER_AGENTS_DATA for agent in entry["instances"]]
    assert len(instances) > 1000
    human = [agent for agent in instances if judge_agent(agent).verdict is Verdict.HUMAN]
    assert human == []


@pytest.mark.seed("S171", "S179")
def test_another_projects_bots_are_machines_as_well() -> None:
    bots = [str(case["user_agent"]) for case in _agents("bots")]
    assert len(bots) > 1000
    told = sum(judge_agent(agent).verdict is not Verdict.HUMAN for agent in bots)
    assert told / len(bots) >= _BOTS_KNOWN, f"{told} of {len(bots)}"


def test_mail_programs_of_that_project_are_never_machines_and_browsers_hardly_ever() -> None:
    cases = [case for name in _READERS for case in _agents(name)]
    readers = [
        str(case["user_agent"])
        for case in cases
        if isinstance(client := case.get("client"), dict) and client["type"] in ("browser", "pim")
    ]
    mail = [
        str(case["user_agent"])
        for case in cases
        if isinstance(client := case.get("client"), dict) and client["type"] == "pim"
    ]
    assert len(readers) > 2000
    assert len(mail) >= 5
    assert [agent for agent in mail if judge_agent(agent).verdict is Verdict.BOT] == []
    wrong = [agent for agent in readers if judge_agent(agent).verdict is Verdict.BOT]
    assert len(wrong) / len(readers) < _BROWSERS_MISTAKEN, wrong
