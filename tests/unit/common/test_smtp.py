"""Replies of SMTP servers, as RFC 5321 §4.2 and RFC 3463 define them."""

import pytest

from postfleet.smtp import OutcomeUnknown, PermanentFailure, SmtpReply, TransientFailure


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        pytest.param(199, (), id="below 200 is none of them"),
        pytest.param(200, ("positive",), id="200 is positive"),
        pytest.param(250, ("positive",), id="250 is positive"),
        pytest.param(299, ("positive",), id="299 is positive"),
        pytest.param(354, (), id="354 asks for more"),
        pytest.param(399, (), id="399 asks for more"),
        pytest.param(400, ("transient",), id="400 is transient"),
        pytest.param(499, ("transient",), id="499 is transient"),
        pytest.param(500, ("permanent",), id="500 is permanent"),
        pytest.param(599, ("permanent",), id="599 is permanent"),
        pytest.param(600, (), id="600 is no reply at all"),
    ],
)
def test_a_reply_is_of_one_kind(code: int, kinds: tuple[str, ...]) -> None:
    reply = SmtpReply(code)
    assert tuple(k for k in ("positive", "transient", "permanent") if getattr(reply, k)) == kinds


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        pytest.param(550, "5.1.1 User unknown", "5.1.1", id="at the start of the text"),
        pytest.param(550, "5.7.26 Unauthenticated", "5.7.26", id="two digits"),
        pytest.param(550, "5.7.350 Remote", "5.7.350", id="three digits"),
        pytest.param(550, " 5.1.1 User unknown", "5.1.1", id="after a space"),
        pytest.param(250, "2.0.0", "2.0.0", id="nothing but the status"),
        pytest.param(550, "5.1.1\n5.1.1 second line", "5.1.1", id="on a line of its own"),
        pytest.param(550, "User unknown", "", id="none given"),
        pytest.param(550, "", "", id="no text"),
        pytest.param(450, "5.1.1 User unknown", "", id="of another class than the code"),
        pytest.param(550, "No 5.1.1 here", "", id="somewhere in the text"),
        pytest.param(550, "5.1.1.1 is no status", "", id="four numbers"),
        pytest.param(550, "5.1234.1 too long", "", id="four digits"),
        pytest.param(550, "192.0.2.1 is blocked", "", id="an IP address"),
        pytest.param(354, "3.0.0 Go on", "", id="there is no class 3"),
    ],
)
def test_the_enhanced_status_is_what_the_server_gave(code: int, text: str, status: str) -> None:
    assert SmtpReply(code, text).enhanced_status == status


def test_a_failure_carries_the_reply_if_there_was_one() -> None:
    reply = SmtpReply(550, "5.1.1 User unknown")
    assert PermanentFailure("refused", reply).reply == reply
    assert TransientFailure("no connection").reply is None
    assert OutcomeUnknown("lost after the final dot").reply is None
    assert str(reply) == "550 5.1.1 User unknown"
