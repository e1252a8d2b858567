"""When a variant has won: seldom by luck, the same for the same counts, and only once."""

import random
from bisect import bisect_left
from collections.abc import Callable
from datetime import timedelta
from itertools import accumulate
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.campaigns import Step, Variant, variant_for
from dispatcher.domain.winner import Choice, Count, Metric, WinnerRule, chance_of_luck, judge

RULE = WinnerRule(Metric.OPENED, minimum_sample=100)
AT = 1_800_000_000_000


def counts(*pairs: tuple[int, int]) -> list[Count]:
    return [Count("ABCDEFGH"[n], sample, hits) for n, (sample, hits) in enumerate(pairs)]


def won(*pairs: tuple[int, int], looked: int = 0, rule: WinnerRule = RULE) -> str | None:
    """The winner's name, "" after a look without one, None where no look is due."""
    choice = judge(counts(*pairs), rule, looked, AT)
    return choice.variant if choice else None


@pytest.mark.parametrize(
    ("pairs", "looked", "expected"),
    [
        pytest.param([(99, 60), (500, 10)], 0, None, id="one sample is just too small"),
        pytest.param([(100, 60), (500, 10)], 0, "A", id="the smallest sample is just enough"),
        pytest.param([(100, 40), (100, 40)], 0, "", id="equal rates"),
        pytest.param([(100, 45), (100, 40)], 0, "", id="a lead that luck explains"),
        pytest.param([(1600, 720), (1600, 640)], 0, "", id="the fifth look is stricter"),
        pytest.param([(1600, 760), (1600, 640)], 0, "A", id="a large sample, a clear lead"),
        pytest.param([(100, 60), (100, 10)], 1, None, id="this look has been had"),
        pytest.param([(199, 130), (199, 20)], 1, None, id="just before the second look"),
        pytest.param([(200, 130), (200, 20)], 1, "A", id="the second look"),
        pytest.param([(100, 1), (100, 4)], 0, "", id="too few hits for the approximation"),
        pytest.param([(100, 99), (100, 96)], 0, "", id="too few misses for it"),
        pytest.param([(100, 0), (100, 0)], 0, "", id="nobody did it"),
        pytest.param([(100, 100), (100, 100)], 0, "", id="everybody did it"),
        pytest.param([(100, 60), (100, 58), (100, 10)], 0, "", id="the second is as good"),
        pytest.param([(100, 60), (100, 20), (100, 10)], 0, "A", id="better than both"),
        pytest.param([(500, 400)], 0, None, id="one variant has no rival"),
    ],
)
def test_a_variant_wins_when_its_lead_is_beyond_luck(
    pairs: list[tuple[int, int]], looked: int, expected: str | None
) -> None:
    assert won(*pairs, looked=looked) == expected


def test_the_chance_of_luck_is_that_of_the_two_proportion_test() -> None:
    """60/100 against 45/100: z = 2.1240, one-sided p = 0.01684 (normal table)."""
    assert chance_of_luck(*counts((100, 60), (100, 45))) == pytest.approx(0.01684, abs=2e-5)


samples = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(st.lists(samples, min_size=2, max_size=6), st.integers(0, 12))
def test_who_wins_has_the_highest_rate_and_enough_mails(
    pairs: list[tuple[int, int]], looked: int
) -> None:
    found = counts(*pairs)
    choice = judge(found, RULE, looked, AT)
    assert choice == judge(list(found), RULE, looked, AT)
    if choice is None:
        return
    assert min(count.sample for count in found) >= RULE.minimum_sample
    assert choice.look > looked
    if choice.variant:
        best = next(count for count in found if count.variant == choice.variant)
        assert all(best.rate > other.rate for other in found if other is not best)


@given(st.lists(samples, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_variants_does_not_matter(
    pairs: list[tuple[int, int]], chance: random.Random
) -> None:
    found = counts(*pairs)
    mixed = chance.sample(found, len(found))
    assert judge(found, RULE, 0, AT) == judge(mixed, RULE, 0, AT)


def hundred_mails(rate: float) -> Callable[[random.Random], int]:
    """Draws how many of a hundred people do it (the binomial distribution)."""
    shares = [comb(100, k) * rate**k * (1 - rate) ** (100 - k) for k in range(101)]
    below = list(accumulate(shares))
    return lambda chance: bisect_left(below, chance.random() * below[-1])


@pytest.mark.parametrize("variants", [2, 4])
def test_equal_variants_seldom_have_a_winner_however_often_one_looks(variants: int) -> None:
    """4,000 campaigns of equal variants, looked at after every 100 mails: at most 5 % err."""
    chance, draw = random.Random(7), hundred_mails(0.3)
    wrong = 0
    for _ in range(4000):
        hits, looked = [0] * variants, 0
        for sample in range(100, 1700, 100):
            hits = [h + draw(chance) for h in hits]
            choice = judge(counts(*((sample, h) for h in hits)), RULE, looked, AT)
            looked = choice.look if choice else looked
            if choice and choice.variant:
                wrong += 1
                break
    assert 0 < wrong / 4000 <= 0.05


def test_once_chosen_the_variant_goes_to_every_lead() -> None:
    step = Step(timedelta(0), (Variant("A", "a"), Variant("B", "b")), winner=RULE)
    decided = Step(timedelta(0), step.variants, winner=RULE, choice=Choice(1, "B"))
    leads = [f"lead{n}" for n in range(50)]
    assert {variant_for(step, lead, "spring").name for lead in leads} == {"A", "B"}
    assert {variant_for(decided, lead, "spring").name for lead in leads} == {"B"}
    assert step.undecided
    assert not decided.undecided
