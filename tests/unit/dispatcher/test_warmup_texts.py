"""Warm-up mails read like people's, are rarely alike, and come in their time."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from dispatcher.domain.warmup_texts import answer, first_name, opening
from dispatcher.warmup_exchange import WarmupTimes, due_at
from postfleet.instants import to_ms

HOUR = 3_600_000
MIDNIGHT = to_ms(datetime(2026, 11, 21, tzinfo=UTC))
TIMES = WarmupTimes(every=300_000, day=24 * HOUR, answer=2 * HOUR)


@pytest.mark.seed("S31")
def test_texts_are_plausible_and_hardly_ever_alike() -> None:
    letters = [opening(f"key {n}", "Ann", "Ben") for n in range(2000)]
    letters += [answer(f"key {n}", letters[n].subject, "Ben", "Ann") for n in range(2000)]
    assert len({letter.text for letter in letters[:2000]}) > 1950
    assert len({letter.text for letter in letters[2000:]}) > 1200
    for letter in letters:
        assert "{" not in letter.subject + letter.text
        assert "http" not in letter.text
        assert 30 < len(letter.text) < 600
    assert all(letter.text.endswith("\nAnn\n") and "Ben" in letter.text for letter in letters[:50])
    assert all(letter.subject.startswith("Re: ") for letter in letters[2000:])


def test_the_same_mail_has_the_same_text_and_the_answer_keeps_its_subject() -> None:
    assert opening("one", "Ann", "Ben") == opening("one", "Ann", "Ben")
    assert answer("one", "Re: Lunch", "Ben", "Ann").subject == "Re: Lunch"


@pytest.mark.parametrize(
    ("display_name", "address", "name"),
    [
        ("Ann Lee", "a@one.test", "Ann"),
        ("", "ann.lee@one.test", "Ann"),
        ("4711", "sales-team@one.test", "Sales"),
        ("", "x1@one.test", "there"),
    ],
)
def test_people_are_called_by_their_first_name(display_name: str, address: str, name: str) -> None:
    assert first_name(display_name, address) == name


@pytest.mark.parametrize(
    ("part", "now", "due"),
    [
        pytest.param(0.5, 11.5 * HOUR, None, id="too early to say"),
        pytest.param(0.5, 11.95 * HOUR, 12 * HOUR, id="due before the next pass"),
        pytest.param(0.5, 12.1 * HOUR, 12 * HOUR, id="just missed"),
        pytest.param(0.5, 18 * HOUR, 18.5 * HOUR, id="long missed: spread over an hour"),
    ],
)
def test_a_mail_is_taken_in_shortly_before_its_time(
    part: float, now: float, due: float | None
) -> None:
    expected = None if due is None else MIDNIGHT + int(due)
    assert due_at("2026-11-21", part, MIDNIGHT + int(now), TIMES) == expected


def test_what_was_missed_does_not_go_all_at_once() -> None:
    now = MIDNIGHT + 20 * HOUR
    dues = [due_at("2026-11-21", n / 10, now, TIMES) or 0 for n in range(8)]
    assert all(later - earlier >= 300_000 for earlier, later in pairwise(dues))
    assert dues[-1] <= now + HOUR
