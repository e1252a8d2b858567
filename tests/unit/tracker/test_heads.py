"""A request's head: read from its bytes only if it is whole, ordinary, and cannot be misunderstood."""

import pytest

from tracker.api.heads import of_interest, read

_LINE = b"GET /o/token.gif HTTP/1.1\r\n"
_BROWSER = (
    b"Host: mail.example.com\r\nConnection: keep-alive\r\nUser-Agent:  Mozilla/5.0 \xe9 \r\n"
    b"Accept: image/*\r\nCookie: secret=1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n"
)


def test_of_a_browsers_head_the_path_and_what_is_kept_are_read() -> None:
    assert read(_LINE + _BROWSER + b"\r\n") == (
        "/o/token.gif",
        {
            "user-agent": "Mozilla/5.0 \xe9",
            "accept": "image/*",
            "x-forwarded-for": "192.0.2.1, 10.0.0.1",
        },
    )


@pytest.mark.parametrize("name", [b"USER-AGENT", b"user-agent", b"User-agent"])
def test_a_name_may_be_spelled_in_any_case_each_time(name: bytes) -> None:
    for _ in range(2):
        assert read(_LINE + name + b": x\r\n\r\n") == ("/o/token.gif", {"user-agent": "x"})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_LINE + b"Host: x\r\n", id="the end is missing"),
        pytest.param(_LINE + b"Host: x\r\n\r\n" + _LINE + b"\r\n", id="two requests"),
        pytest.param(_LINE + b"Host: x\r\n\r\nbody\r\n\r\n", id="a body"),
        pytest.param(_LINE + b"Content-Length: 0\r\n\r\n", id="a length"),
        pytest.param(_LINE + b"transfer-ENCODING: chunked\r\n\r\n", id="an encoding"),
        pytest.param(_LINE + b"Expect: 100-continue\r\n\r\n", id="an expectation"),
        pytest.param(_LINE + b"Connection: close\r\n\r\n", id="to be closed"),
        pytest.param(_LINE + b"Connection: upgrade\r\n\r\n", id="to be upgraded"),
        pytest.param(_LINE + b"Host : x\r\n\r\n", id="a space before the colon"),
        pytest.param(_LINE + b"Host\r\n\r\n", id="no colon"),
        pytest.param(_LINE + b": x\r\n\r\n", id="no name"),
        pytest.param(_LINE + b"A: x\r\n folded: y\r\n\r\n", id="a folded line"),
        pytest.param(_LINE + b"A: x\nB: y\r\n\r\n", id="a bare line feed"),
        pytest.param(_LINE + b"A: x\rB: y\r\n\r\n", id="a bare carriage return"),
        pytest.param(_LINE + b"Via: a\r\nVia: b\r\n\r\n", id="a field that is kept comes twice"),
        pytest.param(b"GET /o/t.gif HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"HEAD /o/t.gif HTTP/1.1\r\n\r\n", id="HEAD"),
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"", id="no byte"),
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    assert read(data) is None
    assert read(data) is None, "what was learned of a name must not make a difference"


def test_long_texts_are_cut_and_a_list_of_addresses_stays_whole() -> None:
    addresses = ", ".join(f"192.0.2.{n % 250}" for n in range(100))
    head = f"Accept: {'a' * 600}\r\nX-Forwarded-For: {addresses}\r\n\r\n".encode()
    found = read(_LINE + head)
    assert found is not None
    assert len(found[1]["accept"]) == 512
    assert found[1]["x-forwarded-for"] == addresses
    headers = [(b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.2")]
    assert of_interest(headers) == {"x-forwarded-for": "192.0.2.1,192.0.2.2"}


def test_ten_thousand_made_up_names_are_not_remembered() -> None:
    from tracker.api.heads import _REMEMBERED, _spellings

    for n in range(10_000):
        assert read(_LINE + b"X-%d: y\r\n\r\n" % n) == ("/o/token.gif", {})
    assert len(_spellings) <= _REMEMBERED
