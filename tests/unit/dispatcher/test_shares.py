"""Partitions among worker processes: all are worked on, evenly, each by one at a time."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.domain.shares import change, fair_share
from postfleet.topology import JOB_PARTITIONS

ALL = range(JOB_PARTITIONS)


@pytest.mark.parametrize(
    ("members", "shares"),
    [
        pytest.param(["a"], [16], id="one has all"),
        pytest.param(["a", "b"], [8, 8], id="two have half each"),
        pytest.param(["a", "b", "c"], [6, 5, 5], id="the first has what does not come out even"),
        pytest.param([f"{n:02}" for n in range(20)], [1] * 16 + [0] * 4, id="some have none"),
    ],
)
def test_everybody_has_a_fair_share(members: list[str], shares: list[int]) -> None:
    assert [fair_share(me, members) for me in members] == shares


def test_who_is_alone_takes_what_nobody_holds() -> None:
    assert change("a", ["a"], {}).take == tuple(ALL)
    held_by_b = dict.fromkeys(ALL, "b")
    assert change("a", ["a", "b"], held_by_b) == change("a", ["a", "b"], held_by_b, ALL)
    assert change("a", ["a", "b"], held_by_b).take == ()


def test_idle_partitions_are_given_up_before_busy_ones() -> None:
    mine = dict.fromkeys(ALL, "a")
    assert change("a", ["a", "b"], mine, busy=(12, 13, 14)).let_go == (5, 6, 7, 8, 9, 10, 11, 15)


def test_who_does_not_count_itself_is_counted() -> None:
    """Its own entry may be older than its lease; it is there all the same."""
    assert len(change("a", [], {}).take) == JOB_PARTITIONS


@given(
    st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_whoever_comes_and_goes_all_partitions_are_shared_in_the_end(
    generations: list[set[str]], chance: object
) -> None:
    holders: dict[int, str] = {}
    for members in generations:
        holders = {p: owner for p, owner in holders.items() if owner in members}
        for _ in range(4):
            for me in sorted(members, key=lambda _: chance.random()):  # type: ignore[attr-defined]
                wanted = change(me, members, holders)
                assert not set(wanted.take) & holders.keys()
                holders |= dict.fromkeys(wanted.take, me)
                holders = {p: o for p, o in holders.items() if p not in wanted.let_go}
        assert holders.keys() == set(ALL)
        counts = Counter(holders.values())
        assert max(counts.values()) - min(counts[m] for m in members) <= 1
