"""Warm-up grows from good days, is held by the first bad sign, and stays within the fleet."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.events.deliveries import EmailFailed
from postfleet.events.inbox import WarmupReceived
from postfleet.events.senders import SenderWarmupAdvanced
from postfleet.instants import to_ms
from sender_registry.domain.announcing import settle
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.outcomes import apply
from sender_registry.domain.sender import Sender, WarmupTally
from sender_registry.domain.warmup import (
    MOST,
    START,
    Course,
    Evidence,
    Partner,
    Warmup,
    advance,
    exchanges,
    openings,
)
from tests.unit.sender_registry import samples

FLEET = [Partner(f"s{n}", f"d{n % 4}.test") for n in range(20)]


def growing(volume: int, day: int = 3) -> Warmup:
    return Warmup(day, volume, Course.GROWING, "2026-11-20")


@pytest.mark.seed("S31", "S248")
@pytest.mark.parametrize(
    ("volume", "evidence", "expected", "course"),
    [
        pytest.param(5, Evidence(5), 6, "growing", id="a good day"),
        pytest.param(20, Evidence(20), 25, "growing", id="a quarter and five more"),
        pytest.param(36, Evidence(36), 40, "growing", id="never above the most"),
        pytest.param(40, Evidence(40), 40, "warm", id="warm"),
        pytest.param(20, Evidence(10), 25, "growing", id="half of the mails are enough"),
        pytest.param(20, Evidence(9), 20, "held", id="fewer are not"),
        pytest.param(20, Evidence(19, refused=1), 20, "held", id="one refusal in twenty"),
        pytest.param(20, Evidence(18, refused=2), 10, "stepped_back", id="two in twenty"),
        pytest.param(20, Evidence(20, spam=2), 25, "growing", id="a tenth in Junk"),
        pytest.param(20, Evidence(20, spam=3), 20, "held", id="more than a tenth"),
        pytest.param(20, Evidence(20, spam=7), 10, "stepped_back", id="more than three tenths"),
        pytest.param(20, Evidence(20, in_cooldown=True), 10, "stepped_back", id="in a cooldown"),
        pytest.param(6, Evidence(0, refused=1), 5, "stepped_back", id="never below the start"),
    ],
)
def test_the_next_day_follows_from_the_last(
    volume: int, evidence: Evidence, expected: int, course: str
) -> None:
    after = advance(growing(volume), evidence, "2026-11-21")
    assert (after.volume, after.course.value, after.day) == (expected, course, 4)


def test_the_first_day_has_five_mails() -> None:
    assert advance(Warmup(), Evidence(0), "2026-11-21") == Warmup(
        1, START, Course.GROWING, "2026-11-21"
    )


@pytest.mark.parametrize("evidence", [Evidence(0), Evidence(0, in_cooldown=True)])
def test_a_day_without_mails_does_not_count(evidence: Evidence) -> None:
    assert advance(growing(9), evidence, "2026-11-21") == growing(9)


def test_a_day_is_planned_once() -> None:
    after = advance(growing(9), Evidence(9), "2026-11-21")
    assert advance(after, Evidence(9), "2026-11-21") == after


@given(
    st.lists(
        st.builds(
            Evidence,
            sent=st.integers(0, 60),
            refused=st.integers(0, 10),
            spam=st.integers(0, 60),
            in_cooldown=st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_day_is_more_than_a_quarter_above_the_last(days: list[Evidence]) -> None:
    plan = [advance(Warmup(), Evidence(0), "d")]
    for number, evidence in enumerate(days):
        plan.append(advance(plan[-1], evidence, f"d{number}"))
    for before, after in pairwise(plan):
        assert after.volume <= before.volume + max(1, min(5, before.volume * 0.25))
        assert START <= after.volume <= MOST


@pytest.mark.seed("S31")
def test_partners_are_of_other_domains_and_take_turns() -> None:
    plan = exchanges("s0", "d0.test", FLEET, 30, "2026-11-21")
    assert len(plan) == 30
    domains = {partner.id: partner.domain for partner in FLEET}
    assert {domains[e.partner_id] for e in plan} == {"d1.test", "d2.test", "d3.test"}
    turns = [sum(e.partner_id == p.id for e in plan) for p in FLEET if p.domain != "d0.test"]
    assert set(turns) == {2}
    assert [e.at for e in plan] == sorted(e.at for e in plan)
    assert all(0 <= e.at < 1 for e in plan)


def test_the_same_day_has_the_same_plan_and_another_day_another() -> None:
    today = exchanges("s0", "d0.test", FLEET, 10, "2026-11-21")
    assert exchanges("s0", "d0.test", FLEET[::-1], 10, "2026-11-21") == today
    assert exchanges("s0", "d0.test", FLEET, 10, "2026-11-22") != today


def test_about_a_third_is_answered() -> None:
    plans = [e for n in range(100) for e in exchanges("s0", "d0.test", FLEET, 20, str(n))]
    assert 0.25 < sum(e.reply for e in plans) / len(plans) < 0.35


def test_a_fleet_of_one_domain_exchanges_nothing() -> None:
    assert exchanges("s0", "d0.test", [Partner("s4", "d0.test")], 10, "2026-11-21") == []


PROFILE = replace(samples.sender().profile, warmup_mode=True)
DAY = timedelta(days=1)


def told(before: Sender, after: Sender, now: datetime) -> tuple[Sender, list[tuple[int, int]]]:
    """The sender as it is written, and the warm-up events: day and volume."""
    change = settle(before, after, now, LimitRules())
    if change is None:
        return before, []
    events = [a.event for a in change.announcements]
    return change.after, [(e.day, e.volume) for e in events if isinstance(e, SenderWarmupAdvanced)]


@pytest.mark.seed("S31", "C3")
def test_warm_up_mode_begins_at_once_and_binds_the_limit() -> None:
    before = samples.sender()
    after, said = told(before, replace(before, profile=PROFILE), samples.NOW)
    assert said == [(1, 5)]
    assert after.told_limit == 5
    assert after.allowance(samples.NOW, LimitRules()).binding == "warmup"
    off, said = told(after, replace(after, profile=before.profile), samples.NOW)
    assert (off.warmup, off.told_limit, said) == (Warmup(), 50, [])


@pytest.mark.seed("S31")
def test_a_good_day_is_followed_by_more_and_a_quiet_one_by_the_same() -> None:
    now = samples.NOW
    sender, _ = told(samples.sender(), samples.sender(profile=PROFILE), now)
    events = samples.received(*[samples.sent(f"d{n}", category="warmup") for n in range(5)])
    sent = apply(sender, events, {}, to_ms(now)).sender
    assert sent.warmup_tally == WarmupTally("2026-11-21", 5, 0)
    tomorrow, said = told(sent, sent, now + DAY)
    assert said == [(2, 6)]
    assert told(tomorrow, tomorrow, now + DAY)[1] == []
    assert told(tomorrow, tomorrow, now + 2 * DAY)[1] == []


def test_bounces_of_the_day_step_back() -> None:
    now = samples.NOW
    warming = samples.sender(
        profile=PROFILE, warmup=Warmup(9, 20, Course.GROWING, "2026-11-21"), told_limit=20
    )
    events = samples.received(
        *[samples.sent(f"d{n}") for n in range(18)], samples.soft("x"), samples.hard("y")
    )
    after = apply(warming, events, {}, to_ms(now)).sender
    assert told(after, after, now + DAY)[1] == [(10, 10)]


@pytest.mark.seed("S31")
@pytest.mark.parametrize(
    ("in_junk", "volume", "course"),
    [
        pytest.param(0, 25, "growing", id="all in the inbox"),
        pytest.param(3, 20, "held", id="some in Junk"),
        pytest.param(8, 10, "stepped_back", id="many in Junk"),
    ],
)
def test_where_partners_found_the_mails_decides_on_tomorrow(
    in_junk: int, volume: int, course: str
) -> None:
    now = samples.NOW
    warming = samples.sender(
        profile=PROFILE, warmup=Warmup(9, 20, Course.GROWING, "2026-11-21"), told_limit=20
    )
    found = [
        WarmupReceived(
            **samples.common("s1", f"d{n}", now),
            partner_id="s2",
            placement="junk" if n < in_junk else "inbox",
        )
        for n in range(20)
    ]
    sent = [samples.sent(f"d{n}", warmup=True) for n in range(20)]
    after = apply(warming, samples.received(*sent, *found), {}, to_ms(now)).sender
    assert after.warmup_tally == WarmupTally("2026-11-21", 20, 0, 20, in_junk)
    tomorrow, _ = told(after, after, now + DAY)
    assert (tomorrow.warmup.volume, tomorrow.warmup.course.value) == (volume, course)
    assert after.health == 100, "placement is no matter of health"


def test_a_refusal_as_spam_is_a_sign_although_it_is_no_bounce() -> None:
    warming = samples.sender(profile=PROFILE, warmup=Warmup(9, 20, Course.GROWING, "2026-11-21"))
    refused = EmailFailed(
        **samples.common("s1", "d1", samples.NOW), reply_code=554, category="spam", fault="content"
    )
    after = apply(warming, samples.received(refused), {}, samples.NOW_MS).sender
    assert after.warmup_tally.refused == 1


@pytest.mark.parametrize(("volume", "begun"), [(0, 0), (1, 1), (5, 4), (40, 31)])
def test_the_limit_leaves_room_for_answers(volume: int, begun: int) -> None:
    assert openings(volume) == begun


def test_mails_of_a_sender_that_is_not_warming_up_are_no_warm_up_mails() -> None:
    after = apply(samples.sender(), samples.received(samples.sent()), {}, samples.NOW_MS).sender
    assert after.warmup_tally == WarmupTally()
