"""When a campaign's window is open, and which text a lead gets."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.campaigns import Schedule, Step, Variant, open_at, variant_for
from dispatcher.domain.draws import draw, fraction

OFFICE = ((time(9), time(17)),)
NIGHT = ((time(22), time(6)),)
WEEK = (0, 1, 2, 3, 4)
PARIS, NEW_YORK = "Europe/Paris", "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "moment", "expected"),
    [
        pytest.param(Schedule(), "2026-11-21T03:00", True, id="no windows: always"),
        pytest.param(Schedule(windows=OFFICE), "2026-11-21T09:00", True, id="the first minute"),
        pytest.param(Schedule(windows=OFFICE), "2026-11-21T08:59", False, id="a minute early"),
        pytest.param(Schedule(windows=OFFICE), "2026-11-21T17:00", False, id="the end is outside"),
        pytest.param(Schedule(windows=OFFICE), "2026-11-21T16:59", True, id="just before the end"),
        pytest.param(Schedule(days=WEEK), "2026-11-21T10:00", False, id="a Saturday"),
        pytest.param(Schedule(days=WEEK), "2026-11-20T10:00", True, id="a Friday"),
        pytest.param(Schedule(windows=NIGHT), "2026-11-20T23:00", True, id="overnight, evening"),
        pytest.param(Schedule(windows=NIGHT), "2026-11-20T05:59", True, id="overnight, morning"),
        pytest.param(Schedule(windows=NIGHT), "2026-11-20T06:00", False, id="overnight, over"),
        pytest.param(Schedule(windows=NIGHT), "2026-11-20T12:00", False, id="overnight, noon"),
        pytest.param(
            Schedule(days=(4,), windows=NIGHT), "2026-11-21T05:00", True, id="Friday's night"
        ),
        pytest.param(
            Schedule(days=(4,), windows=NIGHT), "2026-11-20T05:00", False, id="Thursday's night"
        ),
        pytest.param(
            Schedule(days=(6,), windows=NIGHT), "2026-11-23T05:00", True, id="Sunday into Monday"
        ),
        pytest.param(
            Schedule(windows=((time(9), time(9)),), days=(0,)),
            "2026-11-24T08:59",
            True,
            id="start equals end: a day from then on",
        ),
        pytest.param(
            Schedule(windows=(*OFFICE, (time(20), time(21)))),
            "2026-11-20T20:30",
            True,
            id="the second window",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=OFFICE), "2026-11-20T08:00", True, id="Paris winter"
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=OFFICE), "2026-07-20T07:00", True, id="Paris summer"
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=OFFICE), "2026-07-20T15:00", False, id="summer evening"
        ),
        pytest.param(
            Schedule(timezone=NEW_YORK, days=(4,)),
            "2026-11-21T03:00",
            True,
            id="still Friday there",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=((time(2, 30), time(3)),)),
            "2026-03-29T01:00",
            False,
            id="the hour that summer time leaves out",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=((time(2, 30), time(3)),)),
            "2026-10-25T00:45",
            True,
            id="the hour that comes twice, first time",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=((time(2, 30), time(3)),)),
            "2026-10-25T01:45",
            True,
            id="the hour that comes twice, second time",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=((time(2, 30), time(5)),)),
            "2026-03-29T01:00",
            True,
            id="a window that starts in the missing hour opens after it",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=((time(2, 30), time(5)),)),
            "2026-03-29T00:59",
            False,
            id="and not before it",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=NIGHT),
            "2026-03-29T00:59",
            True,
            id="overnight, before the clock goes forward",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=NIGHT),
            "2026-03-29T03:59",
            True,
            id="overnight, an hour shorter: its last minute",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=NIGHT),
            "2026-03-29T04:00",
            False,
            id="overnight, an hour shorter: over",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=NIGHT),
            "2026-10-25T04:59",
            True,
            id="overnight, an hour longer: its last minute",
        ),
        pytest.param(
            Schedule(timezone=PARIS, windows=NIGHT),
            "2026-10-25T05:00",
            False,
            id="overnight, an hour longer: over",
        ),
        pytest.param(
            Schedule(timezone=PARIS, days=(5,), windows=NIGHT),
            "2026-10-25T01:30",
            True,
            id="Saturday's night, in the hour that comes twice",
        ),
        pytest.param(
            Schedule(timezone=PARIS, days=(6,), windows=NIGHT),
            "2026-10-25T01:30",
            False,
            id="Sunday's night has not begun in it",
        ),
        pytest.param(
            Schedule(timezone=NEW_YORK, windows=OFFICE),
            "2026-03-09T13:00",
            True,
            id="New York, the day after: an hour earlier in UTC",
        ),
        pytest.param(
            Schedule(timezone="Australia/Lord_Howe", windows=OFFICE),
            "2026-10-04T22:00",
            True,
            id="half an hour of summer time",
        ),
        pytest.param(
            Schedule(timezone="Australia/Lord_Howe", windows=OFFICE),
            "2026-10-04T21:59",
            False,
            id="half an hour of summer time, a minute early",
        ),
        pytest.param(
            Schedule(start_at=utc("2026-11-21T10:00")), "2026-11-21T09:59", False, id="not started"
        ),
        pytest.param(
            Schedule(start_at=utc("2026-11-21T10:00")), "2026-11-21T10:00", True, id="starts now"
        ),
        pytest.param(
            Schedule(start_at=utc("2026-11-21T10:00"), windows=OFFICE),
            "2026-11-21T18:00",
            False,
            id="started, but outside the window",
        ),
    ],
)
def test_mail_goes_only_when_the_schedule_is_open(
    schedule: Schedule, moment: str, expected: bool
) -> None:
    assert open_at(schedule, utc(moment)) is expected


@given(
    st.times(),
    st.times(),
    st.datetimes(timezones=st.just(UTC)),
)
def test_a_window_and_its_complement_share_out_every_moment(
    start: time, end: time, moment: datetime
) -> None:
    if start == end:
        return
    inside = open_at(Schedule(windows=((start, end),)), moment)
    outside = open_at(Schedule(windows=((end, start),)), moment)
    assert inside is not outside


def _step(*weights: int) -> Step:
    return Step(timedelta(0), tuple(Variant(f"v{n}", "s", weight=w) for n, w in enumerate(weights)))


def test_variants_are_drawn_by_weight_and_always_the_same() -> None:
    step = _step(3, 0, 1)
    drawn = [variant_for(step, f"lead{n}", "spring").name for n in range(4000)]
    assert drawn == [variant_for(step, f"lead{n}", "spring").name for n in range(4000)]
    counts = Counter(drawn)
    assert counts["v1"] == 0
    assert 0.71 < counts["v0"] / 4000 < 0.79


def test_another_campaign_draws_anew() -> None:
    step = _step(1, 1)
    one = [variant_for(step, f"lead{n}", "spring").name for n in range(64)]
    assert one != [variant_for(step, f"lead{n}", "summer").name for n in range(64)]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.text())
def test_a_draw_never_takes_what_has_no_weight(weights: list[float], about: str) -> None:
    if sum(weights) <= 0:
        with pytest.raises(ValueError, match="no weight"):
            draw(weights, about)
    else:
        assert weights[draw(weights, about)] > 0
        assert 0 <= fraction(about) < 1
