"""A mail that brings back a token of ours is matched by it; a token of anybody else's is nothing."""

import pytest

from inbox_watcher.domain.matching import CONFIDENCE, token_keys
from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys

KEYS = TokenKeys(KeyRing.parse("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
OTHERS = TokenKeys(KeyRing.parse("MUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
DELIVERY = "0123456789abcdef" * 2


def reply(*fields: str) -> bytes:
    return "\r\n".join(["From: jo@x.test", "Subject: hello", *fields, "", "Yes."]).encode()


def report(*returned: str) -> bytes:
    return (
        "From: MAILER-DAEMON@x.test\r\nSubject: failure\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        "Final-Recipient: rfc822; jo@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        + "\r\n".join(returned)
        + "\r\n\r\n--b--\r\n"
    ).encode()


TOKEN = KEYS.make(Purpose.REPLY, DELIVERY)
OPTOUT = KEYS.make(Purpose.UNSUBSCRIBE, DELIVERY)
OWN = KEYS.make(Purpose.DELIVERY, DELIVERY)


@pytest.mark.parametrize(
    ("raw", "matched_by"),
    [
        pytest.param(reply(f"To: Ann <ann+{TOKEN}@one.test>"), "reply_token", id="To"),
        pytest.param(
            reply(f"Delivered-To: ann+{TOKEN.upper()}@one.test"), "reply_token", id="upper"
        ),
        pytest.param(reply("To: b@x.test", f"Cc: ann+{TOKEN}@one.test"), "reply_token", id="Cc"),
        pytest.param(report(f"X-Postfleet-Delivery: {OWN}"), "returned_token", id="our field"),
        pytest.param(
            report(
                "Message-ID: <changed@y.test>", f"List-Unsubscribe: <https://m.test/u/{OPTOUT}>"
            ),
            "returned_token",
            id="the address to unsubscribe",
        ),
    ],
)
def test_a_token_of_ours_names_the_delivery(raw: bytes, matched_by: str) -> None:
    (key,) = token_keys(understand(raw), KEYS)
    assert (key.id, key.matched_by) == (DELIVERY, matched_by)
    assert CONFIDENCE[matched_by] == 1.0
    assert token_keys(understand(raw), OTHERS) == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(reply(f"To: ann+{TOKEN[:-1]}a@one.test"), id="a changed one"),
        pytest.param(reply(f"To: ann+{OWN}@one.test"), id="one of another purpose"),
        pytest.param(reply(f"X-Postfleet-Delivery: {OWN}"), id="in the answer's own header"),
        pytest.param(
            report(f"List-Unsubscribe: <https://m.test/u/{OWN}>"), id="in another's place"
        ),
        pytest.param(report(f"X-Postfleet-Delivery: {OWN}{OWN}"), id="two in one"),
    ],
)
def test_what_is_no_token_of_ours_in_its_place_names_nothing(raw: bytes) -> None:
    assert token_keys(understand(raw), KEYS) == []


def test_an_answer_is_an_answer_with_or_without_a_token() -> None:
    with_token = understand(reply(f"To: ann+{TOKEN}@one.test", "In-Reply-To: <a@one.test>"))
    assert with_token.kind is understand(reply("In-Reply-To: <a@one.test>")).kind is Kind.REPLY
