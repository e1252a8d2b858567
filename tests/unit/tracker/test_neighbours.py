"""What the other hits of a delivery tell of one."""

import pytest

from tracker.domain.hits import HitKind
from tracker.domain.neighbours import BURST, NEAR_CANARY, Neighbours, Step

T = 1_800_000_000_000


def _click(at_ms: int, link: str, *, canary: bool = False) -> Step:
    return Step(HitKind.CLICKED, T + at_ms, link, canary)


@pytest.mark.seed("S178")
@pytest.mark.parametrize(
    ("steps", "at_ms", "reason"),
    [
        pytest.param([], 0, "", id="alone"),
        pytest.param([_click(0, "c", canary=True)], 10_000, NEAR_CANARY, id="just near the canary"),
        pytest.param([_click(0, "c", canary=True)], 10_001, "", id="just after the canary"),
        pytest.param([_click(0, "c", canary=True)], -10_000, NEAR_CANARY, id="before the canary"),
        pytest.param(
            [_click(0, "a"), _click(500, "b"), _click(2000, "c")], 0, BURST, id="three within 2 s"
        ),
        pytest.param(
            [_click(0, "a"), _click(500, "b"), _click(2001, "c")], 0, "", id="three in over 2 s"
        ),
        pytest.param(
            [_click(0, "a"), _click(1, "b"), _click(2, "a")], 1, "", id="two links, one of them twice"
        ),
        pytest.param(
            [_click(0, "a"), _click(1, "b"), _click(2, "c")], 5000, "", id="long after a burst"
        ),
        pytest.param(
            [_click(n * 900, link) for n, link in enumerate("abcdef")], 3600, BURST,
            id="in the middle of a long burst",
        ),
    ],
)  # fmt: skip
def test_a_hit_is_judged_by_its_neighbours(steps: list[Step], at_ms: int, reason: str) -> None:
    assert Neighbours(steps).reason(T + at_ms, "") == reason
    assert Neighbours(steps[::-1]).reason(T + at_ms, "") == reason


def test_opens_are_no_links_of_a_burst() -> None:
    steps = [Step(HitKind.OPENED, T + n) for n in range(10)]
    assert Neighbours(steps).reason(T, "") == ""


@pytest.mark.parametrize(
    ("at_ms", "agent", "reason"),
    [
        pytest.param(9_000, "scanner", NEAR_CANARY, id="the same user agent, seconds later"),
        pytest.param(1_000, "browser", NEAR_CANARY, id="another one at the same moment"),
        pytest.param(1_001, "browser", "", id="a reader just after the scanner"),
    ],
)
def test_a_reader_beside_a_scanner_is_no_machine(at_ms: int, agent: str, reason: str) -> None:
    scanner = [
        Step(HitKind.CLICKED, T + n, link, canary=link == "c", agent="scanner")
        for n, link in enumerate("cab")
    ]
    reader = Step(HitKind.CLICKED, T + at_ms, "a", agent=agent)
    assert Neighbours([*scanner, reader]).reason(T + at_ms, agent) == reason
