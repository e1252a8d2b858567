"""Alternatives sorted by their first letters match what they matched before, at the same places."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_watcher.domain.tables import notices
from postfleet.first_letters import by_first_letter
from postfleet.smtp_reply_texts import TEXT_RULES

_TABLES = {rule.pattern.lower() for rule in TEXT_RULES if not re.search(r"\\[A-Z]", rule.pattern)}


@pytest.mark.parametrize(
    ("pattern", "sorted_"),
    [
        (r"(?:over|under)sized|oval", r"o(?:versized|val)|undersized"),
        (r"x?y|[xz]a", r"x(?:y|a)|y|za"),
        (r"\bspf\b|spam", r"s(?:(?<=\bs)pf\b|pam)"),
        (r"(?<!un)known", r"k(?<!(?:un)k)nown"),
        (r"a\|b|a{2}c", r"a\|b|a{2}c"),
        (r"\d+x|ab|ac", r"\d+x|a(?:b|c)"),
    ],
)
def test_a_pattern_is_sorted(pattern: str, sorted_: str) -> None:
    assert by_first_letter(pattern) == sorted_


_LITERALS = st.sampled_from(["a", "b", "c", "ab", "ca", "[bc]", "a?", r"\b", "(?<!b)", "b+", r"\w"])
_PATTERNS = st.recursive(
    _LITERALS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        inner.map(lambda one: f"(?:{one}c)?"),
    ),
    max_leaves=8,
)
_TEXTS = ["".join(letters) for letters in product("abc ", repeat=4)]


@given(st.lists(_PATTERNS, min_size=1, max_size=4).map("|".join))
def test_any_pattern_matches_as_before(pattern: str) -> None:
    before, after = re.compile(pattern), re.compile(by_first_letter(pattern))
    for text in _TEXTS:
        for start in range(len(text)):
            assert bool(after.match(text, start)) == bool(before.match(text, start)), (text, start)


@pytest.mark.parametrize("pattern", sorted(_TABLES | {notices.CHALLENGES, notices.RECIPIENT_MARKS}))
def test_a_table_matches_what_its_own_words_are(pattern: str) -> None:
    before, after = re.compile(pattern), re.compile(by_first_letter(pattern))
    for words in re.split(r"[|()?:\[\]\\*+]+", pattern):
        found, expected = after.search(words), before.search(words)
        assert (found and found.start()) == (expected and expected.start()), words
