"""What comes next for a lead, judged by the step before and by what the lead did."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.campaigns import Campaign, Condition, Step, Variant
from dispatcher.domain.progress import (
    CONDITION,
    NEVER,
    Before,
    Facts,
    Move,
    Next,
    due_after,
    met,
    next_move,
)

NOW = 1_800_000_000_000
HOUR = 3_600_000
TEXT = (Variant("A", "Hello", "Hi"),)
GO, SKIP, END = Next(Move.GO), Move.SKIP, Next(Move.END)
NOTHING = Facts()
REPLIED, OPENED, CLICKED = Facts(replied=True), Facts(opened=True), Facts(clicked=True)


def wait(at: int) -> Next:
    return Next(Move.WAIT, at)


def campaign(condition: Condition = Condition.NOT_REPLIED, delay_hours: float = 1) -> Campaign:
    steps = (Step(timedelta(0), TEXT), Step(timedelta(hours=delay_hours), TEXT, condition))
    return Campaign(id="spring", name="Spring", senders=("s1",), steps=steps)


def accepted(hours_ago: float) -> Before:
    at = NOW - int(hours_ago * HOUR)
    return Before("accepted", accepted_at=at, settled_at=at)


@pytest.mark.parametrize(
    ("step", "before", "expected"),
    [
        pytest.param(0, None, GO, id="the first step goes at once"),
        pytest.param(2, accepted(9), wait(NEVER), id="no step is left"),
        pytest.param(1, None, wait(NOW + 2_000), id="the row before is about to be written"),
        pytest.param(1, accepted(1), GO, id="the delay is just over"),
        pytest.param(1, accepted(0.5), wait(NOW + HOUR // 2), id="half the delay is left"),
        pytest.param(1, Before("failed"), END, id="the mail before was refused"),
        pytest.param(1, Before("skipped"), END, id="the mail before was not allowed"),
        pytest.param(
            1,
            Before("skipped", settled_at=NOW - HOUR, meaning=CONDITION),
            GO,
            id="the step before was passed over: the delay counts from then",
        ),
        pytest.param(
            1,
            Before("skipped", settled_at=NOW - HOUR + 1, meaning=CONDITION),
            wait(NOW + 1),
            id="passed over a moment too late",
        ),
        pytest.param(
            1,
            Before("deferred", next_attempt_at=NOW + HOUR),
            wait(NOW + HOUR + 10_000),
            id="the mail before is tried again in an hour",
        ),
        pytest.param(1, Before("unknown"), wait(NOW + 10_000), id="its outcome is in doubt"),
        pytest.param(1, Before("queued"), wait(NOW + 10_000), id="it is being tried again"),
    ],
)
def test_the_next_move_follows_the_step_before(
    step: int, before: Before | None, expected: Next
) -> None:
    assert next_move(campaign(), step, before, NOTHING, NOW) == expected


@pytest.mark.seed("S185")
@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        (Condition.ALWAYS, [NOTHING, REPLIED, OPENED, CLICKED], []),
        (Condition.NOT_REPLIED, [NOTHING, OPENED, CLICKED], [REPLIED]),
        (Condition.REPLIED, [REPLIED], [NOTHING, OPENED, CLICKED]),
        (Condition.OPENED, [OPENED, CLICKED], [NOTHING, REPLIED]),
        (Condition.NOT_OPENED, [NOTHING, REPLIED], [OPENED, CLICKED]),
        (Condition.CLICKED, [CLICKED], [NOTHING, REPLIED, OPENED]),
        (Condition.NOT_CLICKED, [NOTHING, REPLIED, OPENED], [CLICKED]),
    ],
    ids=str,
)
def test_a_step_goes_only_if_its_condition_is_met(
    condition: Condition, holds: list[Facts], fails: list[Facts]
) -> None:
    for facts in holds:
        assert next_move(campaign(condition), 1, accepted(1), facts, NOW) == GO
    for facts in fails:
        answer = next_move(campaign(condition), 1, accepted(1), facts, NOW)
        assert answer == Next(SKIP, reason=f"condition: {condition} is not met")


@given(st.sampled_from(Condition), st.builds(Facts), st.floats(0, 0.999))
def test_a_condition_is_not_judged_before_its_delay_is_over(
    condition: Condition, facts: Facts, hours: float
) -> None:
    answer = next_move(campaign(condition), 1, accepted(hours), facts, NOW)
    assert answer.move is Move.WAIT
    assert NOW < answer.at <= NOW + HOUR


@given(
    st.sampled_from(["replied", "opened", "clicked"]),
    st.builds(Facts, st.booleans(), st.booleans(), st.booleans()),
)
def test_a_condition_and_its_opposite_are_never_both_met(name: str, facts: Facts) -> None:
    assert met(Condition(name), facts) != met(Condition(f"not_{name}"), facts)


def test_after_the_last_step_nothing_is_due() -> None:
    assert due_after(campaign(), 0, NOW) == NOW + HOUR
    assert due_after(campaign(), 1, NOW) == NEVER
