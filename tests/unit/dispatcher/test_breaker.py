"""The breaker as a state machine: hypothesis walks it, the rules hold in every state."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.breaker import (
    CLOSED,
    Breaker,
    BreakerRules,
    State,
    after_failure,
    after_success,
    concerns,
    look_again_at,
    state,
    try_now,
)

RULES = BreakerRules()
T0 = 1_800_000_000_000


def failed(times: int, breaker: Breaker = CLOSED, at: int = T0) -> Breaker:
    for _ in range(times):
        breaker = after_failure(breaker, at, RULES, "no connection")
    return breaker


def test_two_failures_leave_it_closed_and_the_third_opens_it_for_a_minute() -> None:
    assert state(failed(2), T0) is State.CLOSED
    opened = failed(3)
    assert state(opened, T0) is State.OPEN
    assert opened.open_until == T0 + 60_000
    assert opened.reason == "no connection"
    assert try_now(opened, 50, T0 + 59_999, RULES)[0] == 0


def test_a_success_in_between_begins_the_count_again() -> None:
    assert state(failed(2, after_success(failed(2))), T0) is State.CLOSED


def test_failures_of_mails_that_were_under_way_do_not_prolong_the_pause() -> None:
    assert failed(40) == failed(3)


def test_after_the_pause_one_probe_goes_and_only_one() -> None:
    opened = failed(3)
    now = opened.open_until
    assert state(opened, now) is State.HALF_OPEN
    granted, probing = try_now(opened, 50, now, RULES)
    assert granted == 1
    assert try_now(probing, 50, now + 1, RULES)[0] == 0
    assert try_now(probing, 50, now + RULES.probe_ms, RULES)[0] == 1, "the prober died"
    assert after_success(probing) == CLOSED


def test_each_failed_probe_doubles_the_pause_up_to_half_an_hour() -> None:
    breaker, pauses = failed(3), []
    for _ in range(8):
        pauses.append(breaker.open_until)
        breaker = after_failure(breaker, breaker.open_until, RULES)
        pauses[-1] = (breaker.open_until - pauses[-1]) // 60_000
    assert pauses == [2, 4, 8, 16, 30, 30, 30, 30]


steps = st.lists(
    st.tuples(st.sampled_from(["fail", "succeed", "try"]), st.integers(0, 3_600_000)), max_size=80
)


@given(steps)
def test_in_every_walk_nothing_goes_while_it_is_open_and_one_at_most_while_half_open(
    walk: list[tuple[str, int]],
) -> None:
    now, breaker, in_a_row = T0, CLOSED, 0
    for act, later in walk:
        now += later
        before = state(breaker, now)
        if act == "fail":
            breaker, in_a_row = after_failure(breaker, now, RULES), in_a_row + 1
            if in_a_row >= RULES.failures:
                assert state(breaker, now) is State.OPEN
        elif act == "succeed":
            breaker, in_a_row = after_success(breaker), 0
            assert state(breaker, now) is State.CLOSED
        else:
            granted, breaker = try_now(breaker, 50, now, RULES)
            most = {State.CLOSED: 50, State.HALF_OPEN: 1, State.OPEN: 0}[before]
            assert granted <= most
            assert granted == 50 or look_again_at(breaker, now) > now
        assert breaker.open_until <= now + RULES.longest_pause_ms


def test_only_trouble_on_the_way_to_the_server_counts() -> None:
    assert concerns("encryption", "connect")
    assert concerns("rate_limited", "connect")
    assert concerns("connection", "rcpt")
    assert not concerns("unknown_user", "rcpt")
    assert not concerns("sender_rejected", "mail")
