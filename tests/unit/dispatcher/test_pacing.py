"""Paces of destinations, for any story of replies: never below the floor, and back after a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.destinations import NAMES, destination_of
from dispatcher.domain.pacing import (
    Pace,
    PaceRules,
    is_over,
    rate_at,
    room,
    take,
    throttled,
    tokens_at,
    turn_at,
)

RULES = PaceRules()
T0 = 1_800_000_000_000
MINUTE, HOUR = 60_000, 3_600_000

instants = st.integers(T0, T0 + 48 * HOUR)
paces = st.builds(
    Pace,
    per_hour=st.floats(RULES.floor_per_hour, RULES.ceiling_per_hour),
    since=st.just(T0),
    tokens=st.floats(0, 100),
    counted_at=st.just(T0),
)
#: what happens to a destination: (milliseconds later, throttled?, mails wanted)
stories = st.lists(
    st.tuples(st.integers(0, 2 * HOUR), st.booleans(), st.integers(0, 500)), max_size=40
)


@given(stories, st.floats(0, 1e6))
def test_no_story_takes_a_destination_below_the_floor_or_above_the_ceiling(
    story: list[tuple[int, bool, int]], observed: float
) -> None:
    now, pace = T0, throttled(None, observed, T0, RULES)
    for later, trouble, wanted in story:
        now += later
        before = rate_at(pace, now, RULES)
        if trouble:
            pace = throttled(pace, observed, now, RULES)
            assert rate_at(pace, now, RULES) <= before
        granted, pace = take(pace, wanted, now, RULES)
        assert 0 <= granted <= wanted
        assert RULES.floor_per_hour <= rate_at(pace, now, RULES) <= RULES.ceiling_per_hour
        assert pace.tokens >= 0


@given(paces, instants, st.integers(0, 24 * HOUR))
def test_without_throttling_the_rate_only_grows(pace: Pace, now: int, later: int) -> None:
    assert rate_at(pace, now, RULES) <= rate_at(pace, now + later, RULES)


@given(paces)
def test_every_destination_is_free_again_after_the_steps_that_lead_to_the_ceiling(
    pace: Pace,
) -> None:
    hours = (RULES.ceiling_per_hour - RULES.floor_per_hour) / RULES.step_per_hour
    now = T0 + int(hours * HOUR) + 1
    assert is_over(pace, now, RULES)
    assert room(pace, now, RULES) is None


@given(paces, st.integers(RULES.hold_ms, 24 * HOUR))
def test_throttling_halves(pace: Pace, later: int) -> None:
    now = T0 + later
    if is_over(pace, now, RULES):
        return
    halved = rate_at(throttled(pace, 0, now, RULES), now, RULES)
    assert halved == pytest.approx(max(RULES.floor_per_hour, rate_at(pace, now, RULES) / 2))


@given(st.integers(0, RULES.hold_ms - 1), st.integers(1, 50))
def test_one_congestion_halves_once_however_many_replies_tell_of_it(
    within: int, replies: int
) -> None:
    first = throttled(None, 5000, T0, RULES)
    pace = first
    for _ in range(replies):
        pace = throttled(pace, 5000, T0 + within, RULES)
    assert pace == first
    assert throttled(pace, 5000, T0 - HOUR, RULES) == first, "an old event that comes late"


@given(st.floats(60, 9_999), st.lists(st.integers(0, 5 * MINUTE), max_size=60))
def test_what_is_granted_in_any_time_is_at_most_the_rate_and_one_burst(
    per_hour: float, pauses: list[int]
) -> None:
    rules = PaceRules(step_per_hour=0)
    now, pace, granted = T0, Pace(per_hour, T0, 0.0, T0), 0
    for pause in pauses:
        now += pause
        got, pace = take(pace, 10_000, now, rules)
        granted += got
    assert granted <= per_hour * (now - T0) / HOUR + max(1, per_hour / 30) + 1e-6


@given(paces, st.integers(0, 300))
def test_who_waits_is_told_a_time_at_which_there_is_room(pace: Pace, place: int) -> None:
    if is_over(pace, T0, RULES):
        return
    at = turn_at(pace, place, T0, RULES)
    rate = rate_at(pace, T0, RULES)
    assert at > T0
    if place + 1 <= max(1.0, rate * RULES.burst_ms / HOUR):
        assert tokens_at(pace, at, RULES) >= place + 1 - 1e-6
    assert at <= turn_at(pace, place + 1, T0, RULES)


def test_a_free_destination_has_no_limit_and_the_first_throttling_halves_what_was_seen() -> None:
    assert room(None, T0, RULES) is None
    pace = throttled(None, 1200, T0, RULES)
    assert pace.per_hour == 600
    assert room(pace, T0, RULES) == 0
    assert room(pace, T0 + MINUTE, RULES) == 10
    assert throttled(None, 3, T0, RULES).per_hour == RULES.floor_per_hour


@pytest.mark.parametrize(
    ("address", "exchangers", "destination"),
    [
        ("jo@gmail.com", (), "google"),
        ("jo@acme.test", ("aspmx.l.google.com",), "google"),
        ("jo@acme.test", ("acme-test.mail.protection.outlook.com.",), "microsoft"),
        ("jo@ACME.test", ("mx1.acme.test",), "acme.test"),
        ("jo@acme.test", (), "acme.test"),
        ("jo@acme.test", ("notgoogle.com",), "acme.test"),
        ("jo@acme.test", ("mx-a.pphosted.com", "aspmx.l.google.com"), "proofpoint"),
        ("jo@acme.test", ("mail.mimecast.co.za",), "mimecast"),
    ],
)
def test_a_destination_is_the_provider_behind_the_mx_else_the_domain(
    address: str, exchangers: tuple[str, ...], destination: str
) -> None:
    assert destination_of(address, exchangers) == destination


def test_the_names_of_providers_are_few_enough_for_a_metric_and_are_no_domains() -> None:
    assert len(NAMES) < 100
    assert not any("." in name for name in NAMES)
