"""Each limit of the automatic pause, tried on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.auto_pause import Advice, Figures, PauseRules, enough_sends, judge

RULES = PauseRules()


@pytest.mark.seed("S195", "C8")
@pytest.mark.parametrize(
    ("sends", "bounces", "complaints", "advice", "rule"),
    [
        pytest.param(19, 19, 0, "go_on", "", id="too few mails prove nothing"),
        pytest.param(20, 1, 0, "go_on", "", id="exactly 5 %"),
        pytest.param(20, 2, 0, "pause", "hard_bounces", id="above 5 %, at the smallest sample"),
        pytest.param(1000, 50, 0, "go_on", "", id="exactly 5 % of many"),
        pytest.param(1000, 51, 0, "pause", "hard_bounces", id="one more"),
        pytest.param(2001, 0, 2, "go_on", "", id="just under 0.1 %"),
        pytest.param(2000, 0, 2, "warn", "complaints", id="at 0.1 %"),
        pytest.param(1000, 0, 2, "warn", "complaints", id="at 0.2 %"),
        pytest.param(1001, 0, 3, "warn", "complaints", id="just under 0.3 %"),
        pytest.param(1000, 0, 3, "pause", "complaints", id="at 0.3 %"),
        pytest.param(100, 0, 1, "warn", "complaints", id="one person warns, and stops nothing"),
        pytest.param(100, 0, 2, "pause", "complaints", id="two of a hundred"),
        pytest.param(100, 6, 2, "pause", "hard_bounces", id="both: bounces are named"),
        pytest.param(1000, 0, 0, "go_on", "", id="all is well"),
    ],
)
def test_a_campaign_goes_on_is_warned_or_pauses(
    sends: int, bounces: int, complaints: int, advice: str, rule: str
) -> None:
    found = judge(Figures(sends, bounces, complaints), RULES)
    assert (found.advice, found.rule) == (advice, rule)
    assert bool(found.reason) is (advice != "go_on")


def test_the_reason_has_the_figures() -> None:
    reason = judge(Figures(200, 11, 0), RULES).reason
    assert reason == "hard bounces: 11 of 200 mails, 5.50%; above 5.0%"


@given(st.integers(0, 500), st.integers(0, 50), st.integers(0, 10**7))
def test_counting_may_stop_where_the_campaign_is_cleared(
    bounces: int, complaints: int, sends: int
) -> None:
    enough = enough_sends(bounces, complaints, RULES)
    cut = min(sends, enough)
    assert judge(Figures(cut, bounces, complaints), RULES).advice is (
        judge(Figures(sends, bounces, complaints), RULES).advice
    )


@given(st.integers(0, 5000), st.integers(0, 300), st.integers(0, 30))
def test_more_trouble_never_makes_it_better(sends: int, bounces: int, complaints: int) -> None:
    order = [Advice.GO_ON, Advice.WARN, Advice.PAUSE]
    now = order.index(judge(Figures(sends, bounces, complaints), RULES).advice)
    assert order.index(judge(Figures(sends, bounces + 1, complaints), RULES).advice) >= now
    assert order.index(judge(Figures(sends, bounces, complaints + 1), RULES).advice) >= now
