"""Phrases match in small letters what `re.IGNORECASE` matches, at the same places."""

import re

import pytest

from postfleet.phrases import lowered, phrases, plain_letters
from postfleet.smtp_reply_texts import TEXT_RULES

_TEXTS = (
    "550 5.1.1 User Unknown",
    "Das Postfach ist VOLL",
    "Ящик ПЕРЕПОЛНЕН",
    "552 MAILBOXFULL; STOREDRV",
    "421 [TSS04] Deferred",
    "MI:SPF, DT:SPM and OFR204_416",
    "no MX for Host\t",
)


@pytest.mark.parametrize("text", _TEXTS)
def test_every_rule_finds_what_it_found_without_regard_to_case(text: str) -> None:
    for rule in TEXT_RULES:
        loosely = re.search(rule.pattern, text, re.IGNORECASE)
        found = phrases(rule.pattern).search(lowered(text))
        assert bool(found) == bool(loosely), rule.category


def test_classes_keep_their_meaning() -> None:
    assert phrases(r"A\S\W\D").search(lowered("Ab-c"))
    assert not phrases(r"\SX").search(lowered(" x"))


def test_small_letters_take_the_place_of_the_large_ones() -> None:
    text = "İstanbul'da KUTU doluİ"
    assert len(text.lower()) != len(text) == len(lowered(text))
    found = phrases("KUTU").search(lowered(text))
    assert found
    assert text[found.start() : found.end()] == "KUTU"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("skrzynka pełna", "skrzynka pelna"),
        ("boîte Ø", "boite O"),
        ("ящик й 満が 가", "ящик й 満が 가"),
    ],
)
def test_marks_of_latin_letters_are_left_out_and_no_other_script_is_touched(
    text: str, plain: str
) -> None:
    assert plain_letters(text) == plain
