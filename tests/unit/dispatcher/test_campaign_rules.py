"""What a campaign may ask for, and what of it may be changed when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from dispatcher.api.bodies import CampaignBody, CampaignPatch
from dispatcher.api.schedule_body import ScheduleBody
from dispatcher.domain.amendment import first_change, refusal
from dispatcher.domain.campaigns import Campaign, CampaignState, Condition, Step, Tracking, Variant
from dispatcher.domain.contradictions import contradictions
from dispatcher.domain.winner import Metric, WinnerRule
from dispatcher.store.campaign_documents import definition, from_definition

HTML = (Variant("A", "Hello", "Hi", "<p>Hi</p>"),)
TEXT = (Variant("A", "Hello", "Hi"),)
TWO = (Variant("A", "Hello", "Hi"), Variant("B", "Good day", "Hi"))
FIRST = Step(timedelta(0), HTML)
ALL = Tracking(opens=True, clicks=True)


def campaign(*steps: Step, **more: Any) -> Campaign:
    defaults: dict[str, Any] = {
        "tracking": ALL,
        "check_reply": False,
        "postal_address": "1 Main St",
    }
    return Campaign("spring", "Spring", ("s1",), steps, **{**defaults, **more})


def then(condition: Condition) -> Step:
    return Step(timedelta(days=1), HTML, condition)


def rule(metric: Metric) -> Step:
    return Step(timedelta(0), TWO, winner=WinnerRule(metric))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        *[
            pytest.param(campaign(FIRST, then(c)), None, id=f"{c} with everything it needs")
            for c in Condition
        ],
        pytest.param(
            campaign(FIRST, then(Condition.NOT_OPENED), tracking=Tracking(clicks=True)),
            "steps.1.condition",
            id="not_opened without the pixel",
        ),
        pytest.param(
            campaign(FIRST, then(Condition.CLICKED), tracking=Tracking(opens=True)),
            "steps.1.condition",
            id="clicked without tracked links",
        ),
        pytest.param(
            campaign(Step(timedelta(0), TEXT), then(Condition.OPENED)),
            "steps.1.condition",
            id="opened after mails of text only",
        ),
        pytest.param(
            campaign(FIRST, then(Condition.REPLIED), check_reply=True),
            "steps.1.condition",
            id="replied, where a reply ends the sequence",
        ),
        pytest.param(
            campaign(then(Condition.OPENED)), "steps.0.condition", id="opened on the first step"
        ),
        pytest.param(
            campaign(replace(FIRST, winner=WinnerRule(Metric.OPENED))),
            "steps.0.winner",
            id="a winner among one",
        ),
        pytest.param(
            campaign(rule(Metric.OPENED), tracking=Tracking()),
            "steps.0.winner",
            id="a winner by opens without the pixel",
        ),
        pytest.param(
            campaign(rule(Metric.CLICKED), tracking=Tracking(opens=True)),
            "steps.0.winner",
            id="a winner by clicks without tracked links",
        ),
        pytest.param(
            campaign(rule(Metric.REPLIED), tracking=Tracking()), None, id="a winner by replies"
        ),
    ],
)
def test_what_could_never_happen_is_refused_by_its_field(
    asked: Campaign, field: str | None
) -> None:
    assert [one.field for one in contradictions(asked)] == ([field] if field else [])


NEXT = then(Condition.NOT_REPLIED)
LATER = replace(NEXT, delay=timedelta(days=9))
OTHER = replace(FIRST, variants=TEXT)


@pytest.mark.parametrize(
    ("state", "steps", "fields", "begun", "expected"),
    [
        ("draft", [OTHER], "steps", 0, None),
        ("running", [FIRST, LATER], "steps", 1, None),
        ("running", [FIRST, NEXT, LATER], "steps", 2, None),
        ("running", [FIRST], "steps", 1, None),
        ("running", [FIRST], "steps", 2, ("steps.1", "STEP_BEGUN")),
        ("running", [OTHER, NEXT], "steps", 1, ("steps.0", "STEP_BEGUN")),
        ("paused", [OTHER, NEXT], "steps", 1, ("steps.0", "STEP_BEGUN")),
        ("paused", [OTHER, NEXT], "steps", 0, None),
        ("running", [FIRST, NEXT], "tracking", 0, ("tracking", "RUNNING")),
        ("paused", [FIRST, NEXT], "tracking", 1, None),
        ("running", [FIRST, NEXT], "name senders schedule check_reply postal_address", 2, None),
        ("completed", [FIRST, NEXT, LATER], "steps", 2, ("steps", "COMPLETED")),
        ("completed", [FIRST, NEXT], "name", 2, None),
    ],
)
def test_what_may_be_changed_depends_on_what_is_out(
    state: str, steps: list[Step], fields: str, begun: int, expected: tuple[str, str] | None
) -> None:
    now = campaign(FIRST, NEXT, state=CampaignState(state))
    changed = replace(now, steps=tuple(steps))
    found = refusal(now, changed, frozenset(fields.split()), begun)
    assert (found and (found.field, found.code)) == expected


def test_the_first_change_is_the_first_step_that_differs() -> None:
    now = campaign(FIRST, NEXT)
    assert first_change(now, now) == 2
    assert first_change(now, campaign(FIRST, NEXT, LATER)) == 2
    assert first_change(now, campaign(FIRST, LATER)) == 1
    assert first_change(now, campaign(FIRST)) == 1


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"windows": [["09:00", "17:00"], ["22:00", "06:00"]]}, None),
        ({"windows": [["00:00", "24:00"]]}, None),
        ({"windows": [["09:00", "09:00"]]}, "windows"),
        ({"windows": [["24:00", "06:00"]]}, "windows"),
        ({"windows": [["9", "17"]]}, "windows"),
        ({"windows": [["09:00+02:00", "17:00"]]}, "windows"),
        ({"windows": [["09:00"]]}, "windows"),
        ({"windows": [["25:00", "26:00"]]}, "windows"),
        ({"timezone": "Europe/Paris"}, None),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"days": [0, 6]}, None),
        ({"days": [7]}, "days"),
        ({"days": ["funday"]}, "days"),
        ({"windows": ["09:00"]}, "windows"),
        ({"windows": [{"start": "09:00"}]}, "windows"),
        ({"windows": [{"start": 9, "end": 17}]}, "windows"),
        ({"start_at": "2026-12-01T09:00:00+01:00"}, None),
        ({"start_at": "2026-12-01T09:00:00"}, "start_at"),
        ({"start_at": "9999-12-31T23:59:59Z"}, "start_at"),
    ],
    ids=str,
)
def test_a_schedule_that_never_opens_is_refused_by_its_field(
    schedule: dict[str, Any], field: str | None
) -> None:
    if field is None:
        ScheduleBody.model_validate(schedule).domain()
        return
    with pytest.raises(ValidationError) as refused:
        ScheduleBody.model_validate(schedule)
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_days_and_windows_may_be_written_as_people_write_them() -> None:
    plain = {"days": [0, 6], "windows": [["09:00", "12:00"], ["13:00", "24:00"]]}
    spelt = {
        "days": ["mon", "Sunday"],
        "windows": ["09:00-12:00", {"start": "13:00", "end": "24:00"}],
    }
    assert ScheduleBody.model_validate(spelt) == ScheduleBody.model_validate(plain)


def body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Spring",
        "senders": ["s1"],
        "steps": [
            {"subject": "Hello", "body_html": "<p>Hi</p>"},
            {
                "delay": "P3D",
                "condition": "opened",
                "variants": [
                    {"name": "A", "subject": "a", "body_text": "Hi"},
                    {"name": "B", "subject": "b", "body_text": "Hi", "weight": 2},
                ],
                "winner": {"metric": "clicked", "after": "PT2H", "minimum_sample": 50},
            },
        ],
        "schedule": {"windows": [["00:00", "24:00"]], "days": [4, 0, 0]},
        "tracking": {"opens": True, "clicks": True},
        "postal_address": "1 Main St",
        **changes,
    }


def test_a_definition_survives_the_store_and_can_be_sent_again_as_it_is_shown() -> None:
    made = CampaignBody.model_validate(body()).domain("spring")
    shown = definition(made)
    assert from_definition("spring", shown) == made
    assert CampaignBody.model_validate(shown).domain("spring") == made
    assert CampaignPatch.model_validate({"steps": shown["steps"]}).applied(made) == made


@pytest.mark.seed("S306")
@pytest.mark.parametrize("address", [None, ""])
def test_a_campaign_without_a_postal_address_is_refused(address: str | None) -> None:
    wrong = body(postal_address=address)
    with pytest.raises(ValidationError, match="postal_address"):
        CampaignBody.model_validate({k: v for k, v in wrong.items() if v is not None})


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([{"subject": "Hello"}], "steps"),
        ([{"subject": "Hello", "body_text": " "}], "steps"),
        ([{"body_text": "Hi"}], "steps"),
        ([{"subject": "a", "variants": [{"subject": "b", "body_text": "c"}]}], "steps"),
        ([{"variants": [{"subject": "b", "body_text": "c", "weight": 0}]}], "steps"),
        ([{"subject": "a\r\nBcc: x@y.test", "body_text": "c"}], "steps"),
        ([{"subject": "a", "body_text": "c", "condition": "sneezed"}], "steps"),
        ([{"subject": "a", "body_text": "c", "winner": {"metric": "sent"}}], "steps"),
        ([], "steps"),
    ],
)
def test_a_step_that_could_not_be_sent_is_refused(steps: list[Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CampaignBody.model_validate(body(steps=steps))
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


@pytest.mark.seed("S164")
def test_the_open_pixel_is_off_unless_asked_for() -> None:
    made = CampaignBody.model_validate(
        {k: v for k, v in body().items() if k != "tracking"} | {"steps": body()["steps"][:1]}
    )
    assert made.domain("spring").tracking == Tracking(opens=False, clicks=False)


@pytest.mark.parametrize("name", ["name", "steps", "senders", "schedule", "tracking"])
def test_a_patch_with_null_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CampaignPatch.model_validate({name: None})
    assert refused.value.errors()[0]["loc"] == (name,)
