"""SPF records are merged, never overwritten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_provisioner.domain.spf import (
    SpfConflict,
    Term,
    lookup_terms,
    merged,
    missing_from,
    records_in,
    without,
)

OURS = ("ip4:192.0.2.1",)


@pytest.mark.seed("S143", "S146", "S147")
@pytest.mark.parametrize(
    ("published", "expected"),
    [
        pytest.param([], "v=spf1 ip4:192.0.2.1 ~all", id="none yet"),
        pytest.param(
            ["google-site-verification=x"], "v=spf1 ip4:192.0.2.1 ~all", id="other texts only"
        ),
        pytest.param(
            ["v=spf1 include:_spf.google.com -all"],
            "v=spf1 include:_spf.google.com ip4:192.0.2.1 -all",
            id="the operator's service and strictness stay",
        ),
        pytest.param(
            ["V=SPF1 +IP4:192.0.2.1 ?all"], "V=SPF1 +IP4:192.0.2.1 ?all", id="there already"
        ),
        pytest.param(
            ["v=spf1 mx redirect=_spf.else.test"],
            "v=spf1 mx ip4:192.0.2.1 redirect=_spf.else.test",
            id="before a redirect",
        ),
        pytest.param(["v=spf1 mx"], "v=spf1 mx ip4:192.0.2.1", id="without an end"),
    ],
)
def test_ours_is_put_in_and_everything_else_stays(published: list[str], expected: str) -> None:
    assert merged(published, OURS) == expected


def test_two_records_are_for_a_person_to_join() -> None:
    with pytest.raises(SpfConflict, match="2 SPF records"):
        merged(["v=spf1 -all", "v=spf1 mx -all"], OURS)


def test_a_text_that_only_begins_alike_is_no_spf_record() -> None:
    assert records_in(["v=spf10 mx", "v=spf1", "v=spf1 -all", "spf1"]) == ["v=spf1", "v=spf1 -all"]


def test_redirect_costs_a_lookup_only_without_all() -> None:
    def costs(record: str) -> list[str]:
        return [term.mechanism for term in lookup_terms(record)]

    assert costs("v=spf1 ip4:192.0.2.1 a mx:x.test redirect=y.test") == ["a", "mx", "redirect"]
    assert costs("v=spf1 include:x.test redirect=y.test -all") == ["include"]


def test_the_name_behind_a_term() -> None:
    found = [Term(t).target for t in ("a", "a/24", "mx:X.test./24", "-include:y.test")]
    assert found == ["", "", "x.test", "y.test"]


_TERM = st.sampled_from(["mx", "a:x.test", "include:y.test", "ip4:198.51.100.7", "-exists:z.test"])


@given(st.lists(_TERM, unique=True), st.sampled_from(["~all", "-all", "redirect=r.test", ""]))
def test_merging_and_taking_out_again_changes_nothing(terms: list[str], end: str) -> None:
    record = " ".join(["v=spf1", *terms, *([end] if end else [])])
    both = merged([record], OURS)
    assert missing_from(both, OURS) == ()
    assert without(both, OURS) == record
    assert merged([both], OURS) == both
