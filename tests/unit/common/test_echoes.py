"""What a server repeats of a log-in is hidden, whatever of it and however it is written."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.echoes import HIDDEN, without

USER, SECRET = "ann@one.test", 'canary "pass\\word" 7'


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = _b64(f"\0{USER}\0{SECRET}")


@pytest.mark.seed("S25")
@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(SECRET, id="as typed"),
        pytest.param('canary \\"pass\\\\word\\" 7', id="quoted for IMAP"),
        pytest.param(PLAIN, id="AUTH PLAIN"),
        pytest.param(_b64(f"{USER}\0{USER}\0{SECRET}"), id="AUTH PLAIN with an identity"),
        pytest.param(_b64(SECRET), id="AUTH LOGIN"),
        pytest.param(_b64(f"user={USER}\1auth=Bearer {SECRET}\1\1"), id="XOAUTH2"),
        pytest.param(PLAIN.upper(), id="in capitals"),
        pytest.param(PLAIN.rstrip("="), id="without its padding"),
        pytest.param(PLAIN[:20], id="cut short"),
        pytest.param(f"{PLAIN[:20]}...", id="cut short, with dots"),
        pytest.param(f"{PLAIN[:20]}\n{PLAIN[20:]}", id="over two lines"),
    ],
)
def test_a_secret_is_hidden_in_every_form_in_which_it_crosses_the_wire(echo: str) -> None:
    text = without(f"5.5.1 unrecognized command: AUTH PLAIN {echo}", USER, SECRET)
    assert text.startswith("5.5.1 unrecognized command: AUTH PLAIN ")
    assert HIDDEN in text
    assert "canary" not in text.lower()
    assert not any(PLAIN[n : n + 12].lower() in text.lower() for n in range(len(PLAIN) - 12))


@pytest.mark.parametrize(
    "text",
    [
        "5.7.8 Error: authentication failed: (reason unavailable)",
        "5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        f"mailbox of {USER} is unavailable",
        "",
    ],
)
def test_what_a_server_says_of_its_own_stays(text: str) -> None:
    assert without(text, USER, SECRET) == text
    assert without(text, USER, "") == text


@given(st.text(max_size=30), st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_a_secret_never_survives(before: str, secret: str, after: str) -> None:
    if secret in HIDDEN:
        return
    text = without(f"{before} {_b64(secret)} {secret} {after}", USER, secret)
    left = text.replace(HIDDEN, "\0" * 3)
    assert secret not in left or secret in before + " " + after or set(secret) <= set(" \0*")
