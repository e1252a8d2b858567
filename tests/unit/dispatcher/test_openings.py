"""When a schedule opens next, how much of a day is left, and whose clock is read."""

from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.campaigns import Schedule, open_at
from dispatcher.domain.openings import open_ms, opening, spread_ms
from dispatcher.domain.planning import FOREVER
from dispatcher.domain.recipient_hours import RecipientHours
from postfleet.instants import from_ms, to_ms

OFFICE = ((time(9), time(17)),)
NIGHT = ((time(22), time(6)),)
WEEK = (0, 1, 2, 3, 4)


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text + "+00:00"))


@pytest.mark.parametrize(
    ("schedule", "now", "opens", "closes"),
    [
        pytest.param(
            Schedule(windows=OFFICE), "2026-11-20T10:00", "2026-11-20T10:00", "2026-11-20T17:00",
            id="open now",
        ),
        pytest.param(
            Schedule(windows=OFFICE, days=WEEK), "2026-11-20T17:00", "2026-11-23T09:00",
            "2026-11-23T17:00", id="over the weekend",
        ),
        pytest.param(
            Schedule(windows=NIGHT), "2026-11-20T23:00", "2026-11-20T23:00", "2026-11-21T06:00",
            id="overnight",
        ),
        pytest.param(
            Schedule("Europe/Paris", windows=OFFICE), "2026-11-20T03:00", "2026-11-20T08:00",
            "2026-11-20T16:00", id="by the clock of Paris",
        ),
        pytest.param(
            Schedule(days=(0,)), "2026-11-20T03:00", "2026-11-23T00:00", "2026-11-24T00:00",
            id="Mondays, all day",
        ),
    ],
)  # fmt: skip
def test_a_schedule_opens_and_closes(schedule: Schedule, now: str, opens: str, closes: str) -> None:
    assert opening(schedule, ms(now)) == (ms(opens), ms(closes))


def test_without_windows_it_never_closes_and_a_start_is_waited_for() -> None:
    now = ms("2026-11-20T10:00")
    assert opening(Schedule(), now) == (now, FOREVER)
    start = from_ms(now) + timedelta(days=3)
    assert opening(Schedule(start_at=start), now) == (to_ms(start), FOREVER)


def test_what_is_left_of_a_day_is_what_is_open_of_it() -> None:
    schedule = Schedule(windows=((time(9), time(12)), (time(13), time(18))), spread=True)
    hours = 3_600_000
    assert spread_ms(schedule, ms("2026-11-20T11:00")) == 6 * hours
    assert open_ms(schedule, ms("2026-11-20T18:00"), ms("2026-11-21T10:00")) == hours
    assert spread_ms(Schedule(windows=OFFICE), ms("2026-11-20T11:00")) == 0


def test_windows_are_read_off_the_recipients_clock() -> None:
    noon = ms("2026-11-20T12:00")
    hours = RecipientHours(Schedule("Europe/Paris", windows=OFFICE, recipient_hours=True), noon)
    assert hours.of({}) == (noon, ms("2026-11-20T16:00"))
    assert hours.of({"timezone": "America/New_York"}) == (
        ms("2026-11-20T14:00"),
        ms("2026-11-20T22:00"),
    )
    assert hours.of({"timezone": "Asia/Tokyo"}) == (ms("2026-11-21T00:00"), ms("2026-11-21T08:00"))
    assert hours.of({"timezone": "Nowhere/At_All"}) == hours.of({})


@given(
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"]),
    days=st.sets(st.integers(0, 6)),
    windows=st.lists(
        st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1]), max_size=3
    ),
    now=st.integers(ms("2026-01-01T00:00"), ms("2027-01-01T00:00")),
)
def test_whatever_is_told_is_open_then_and_closed_after(
    zone: str, days: set[int], windows: list[tuple[time, time]], now: int
) -> None:
    whole = tuple((a.replace(microsecond=0), b.replace(microsecond=0)) for a, b in windows)
    schedule = Schedule(zone, tuple(sorted(days)), tuple(w for w in whole if w[0] != w[1]))
    found = opening(schedule, now)
    assert found is not None
    opens, closes = found
    assert now <= opens < closes
    assert open_at(schedule, from_ms(opens))
    assert closes == FOREVER or not open_at(schedule, from_ms(closes))
    assert opens == now or not open_at(schedule, from_ms(now))
