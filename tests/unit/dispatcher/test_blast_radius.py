"""Which shared factor is named when senders degrade together, and when none is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.blast_radius import (
    BlastRules,
    Factor,
    Kind,
    Sight,
    Trouble,
    suspects,
    trouble_of,
)

RULES = BlastRules()


def sight(
    sender: str,
    domain: str,
    provider: str = "google",
    template: str = "spring:0:A",
    attempts: int = 10,
    **troubles: int,
) -> Sight:
    factors = frozenset(
        {
            Factor(Kind.DOMAIN, domain),
            Factor(Kind.PROVIDER, provider),
            Factor(Kind.TEMPLATE, template),
        }
    )
    met = {Trouble(name): count for name, count in troubles.items()}
    return Sight(sender, factors, attempts, met)


def named(sights: list[Sight]) -> list[tuple[str, str, str]]:
    return [(s.factor.kind.value, s.factor.value, s.trouble.value) for s in suspects(sights, RULES)]


HEALTHY = [sight(f"h{n}", "good.test") for n in range(6)]


@pytest.mark.parametrize(
    ("sights", "expected"),
    [
        pytest.param([], [], id="nothing was sent"),
        pytest.param(HEALTHY, [], id="all is well"),
        pytest.param(
            [*HEALTHY, *(sight(f"b{n}", "bad.test", reputation=9) for n in range(3))],
            [("domain", "bad.test", "reputation")],
            id="a domain that is blocked, while the template and the provider serve others",
        ),
        pytest.param(
            [
                *HEALTHY,
                *(sight(f"b{n}", f"d{n}.test", template="spam:0:A", content=9) for n in range(3)),
            ],
            [("template", "spam:0:A", "content")],
            id="a template that looks like spam, over three domains",
        ),
        pytest.param(
            [*HEALTHY, *(sight(f"b{n}", f"d{n}.test", "down", access=9) for n in range(4))],
            [("provider", "down", "access")],
            id="a provider that lets nobody in",
        ),
        pytest.param(
            [*HEALTHY, *(sight(f"b{n}", "bad.test", reputation=9) for n in range(2))],
            [],
            id="two senders are no pattern",
        ),
        pytest.param(
            [
                *(sight(f"h{n}", "big.test") for n in range(10)),
                *(sight(f"b{n}", "big.test", reputation=9) for n in range(4)),
            ],
            [],
            id="four of fourteen: what they share serves the others well",
        ),
        pytest.param(
            [sight(f"b{n}", "bad.test", attempts=4, reputation=4) for n in range(5)],
            [],
            id="too few attempts to tell",
        ),
        pytest.param(
            [sight(f"b{n}", "one.test", reputation=9) for n in range(5)],
            [("domain", "one.test", "reputation")],
            id="all share everything: the kind of trouble tells which",
        ),
        pytest.param(
            [sight(f"b{n}", "one.test", content=9) for n in range(5)],
            [("template", "spring:0:A", "content")],
            id="all share everything: content is the template's",
        ),
        pytest.param(
            [sight(f"b{n}", "bad.test", reputation=2) for n in range(5)],
            [],
            id="a rate below the limit",
        ),
    ],
)
def test_the_factor_that_explains_most_is_named_once(
    sights: list[Sight], expected: list[tuple[str, str, str]]
) -> None:
    assert named(sights) == expected


def test_the_reason_counts_the_senders() -> None:
    sights = [*HEALTHY, *(sight(f"b{n}", "bad.test", reputation=9) for n in range(3))]
    (found,) = suspects(sights, RULES)
    assert found.senders == ("b0", "b1", "b2")
    assert found.reason == (
        "3 of 3 senders that share the domain bad.test degrade together: reputation"
    )


fleets = st.lists(
    st.builds(
        sight,
        sender=st.sampled_from("abcdefgh"),
        domain=st.sampled_from(["one.test", "two.test"]),
        provider=st.sampled_from(["google", "own"]),
        template=st.sampled_from(["x", "y"]),
        attempts=st.integers(0, 30),
        reputation=st.integers(0, 30),
        content=st.integers(0, 30),
    ),
    max_size=20,
)


@given(fleets)
def test_what_is_named_has_enough_degraded_senders_and_most_of_its_own(fleet: list[Sight]) -> None:
    for found in suspects(fleet, RULES):
        assert len(found.senders) >= RULES.min_senders
        assert len(found.senders) >= RULES.min_share * found.of
    assert suspects(fleet, RULES) == suspects(fleet[::-1], RULES)


@pytest.mark.parametrize(
    ("category", "fault", "trouble"),
    [
        ("spam", "content", Trouble.CONTENT),
        ("authentication", "sender", Trouble.REPUTATION),
        ("auth", "sender", Trouble.ACCESS),
        ("encryption", "connection", Trouble.ACCESS),
        ("unknown_user", "recipient", None),
        ("too_large", "content", None),
        ("rate_limited", "sender", None),
    ],
)
def test_a_recipients_own_trouble_says_nothing_of_what_senders_share(
    category: str, fault: str, trouble: Trouble | None
) -> None:
    assert trouble_of(category, fault) is trouble
