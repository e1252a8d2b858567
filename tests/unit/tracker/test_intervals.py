"""Confidence intervals of the variants' rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.intervals import interval


@pytest.mark.seed("S204")
@pytest.mark.parametrize(
    ("hits", "of", "expected"),
    [
        pytest.param(0, 0, (0.0, 1.0), id="nothing sent"),
        pytest.param(0, 10, (0.0, 0.2775), id="none of ten"),
        pytest.param(10, 10, (0.7225, 1.0), id="all of ten"),
        pytest.param(50, 100, (0.4038, 0.5962), id="half of a hundred"),
        pytest.param(5000, 10000, (0.4902, 0.5098), id="half of ten thousand"),
        pytest.param(3, 2, (0.3424, 1.0), id="more hits than mails"),
    ],
)
def test_wilson_interval(hits: int, of: int, expected: tuple[float, float]) -> None:
    assert interval(hits, of) == expected


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_the_rate_lies_between_its_bounds(hits: int, of: int) -> None:
    low, high = interval(hits, of)
    assert 0 <= low <= round(min(1, hits / of), 4) <= high <= 1
