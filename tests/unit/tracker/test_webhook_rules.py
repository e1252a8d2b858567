"""When a webhook is tried again, in which order, and when its endpoint is given up."""

import pytest

from tracker.domain.webhooks import (
    Answer,
    Endpoint,
    WebhookMessage,
    given_up,
    heads,
    next_try_ms,
)

NOW = 1_800_000_000_000
HOUR = 3_600_000


def test_the_tries_of_a_message_take_about_24_hours() -> None:
    at, tries = NOW, 0
    while (following := next_try_ms(tries + 1, at, 0.5)) is not None:
        assert following > at
        at, tries = following, tries + 1
    assert tries == 10
    assert 23.5 * HOUR < at - NOW < 24.5 * HOUR


def _message(id_: str, key: str, *, due_ms: int = 0) -> WebhookMessage:
    return WebhookMessage(id_, "e", id_, "email.sent", key, "{}", 0, due_ms=due_ms)


def test_nothing_overtakes_a_message_of_its_own_key() -> None:
    waiting = [
        _message("1", "ann", due_ms=NOW + 1),
        _message("2", "ann"),
        _message("3", "bob"),
        _message("4", "bob"),
    ]
    assert [message.id for message in heads(waiting, NOW)] == ["3"]
    assert [message.id for message in heads(waiting, NOW + 1)] == ["1", "3"]


@pytest.mark.parametrize(
    ("failing_ms", "answer", "given"),
    [
        pytest.param(0, Answer(500), False, id="the first failure"),
        pytest.param(NOW - 24 * HOUR + 1, Answer(500), False, id="just under a day of failures"),
        pytest.param(NOW - 24 * HOUR, Answer(0, "refused"), True, id="a day of failures"),
        pytest.param(NOW - 30 * HOUR, Answer(204), False, id="a success after all"),
        pytest.param(0, Answer(410), True, id="gone"),
        pytest.param(0, Answer(302), False, id="a redirect is a failure, and no more"),
    ],
)
def test_an_endpoint_is_given_up(failing_ms: int, answer: Answer, given: bool) -> None:
    endpoint = Endpoint("e", "https://example.com", "", 0, failing_ms=failing_ms)
    assert bool(given_up(endpoint, answer, NOW)) is given
