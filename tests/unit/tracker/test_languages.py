"""Which language the unsubscribe page speaks."""

import dataclasses

import pytest

from tracker.domain.languages import LANGUAGES, words_for


@pytest.mark.parametrize(
    ("accept_language", "code"),
    [
        pytest.param("", "en", id="no wish"),
        pytest.param("de-AT,de;q=0.9,en;q=0.8", "de", id="a country's form"),
        pytest.param("xx, fr;q=0.5, it;q=0.7", "it", id="the better liked of two"),
        pytest.param("ja;q=0, es;q=0.1", "es", id="not a language that is refused"),
        pytest.param("tlh", "en", id="one we do not speak"),
        pytest.param("pl;q=x, nl", "nl", id="a quality that is no number"),
        pytest.param(",;=,;q=;;", "en", id="nonsense"),
        pytest.param("*", "en", id="any"),
        pytest.param("PT-br", "pt", id="in capitals"),
    ],
)
def test_the_language_that_is_liked_best(accept_language: str, code: str) -> None:
    assert words_for(accept_language).code == code


def test_there_are_ten_languages_and_nothing_is_left_in_english() -> None:
    assert len(LANGUAGES) == 10
    for field in dataclasses.fields(LANGUAGES["en"]):
        said = [getattr(words, field.name) for words in LANGUAGES.values()]
        assert all(said)
        assert len(set(said)) == 10
