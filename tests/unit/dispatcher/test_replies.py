"""Replies are read the same, whether a round of them is looked at as a whole or line by line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.transport.replies import NoReply, Reply, ReplyReader, whole_round

_LINES = (
    b"250 2.0.0 Ok: queued as 4Yx\r\n",
    b"250 \r\n",
    b"251 will forward\n",
    b"250-first of two\r\n",
    b"250\r\n",
    b"354 go ahead\r\n",
    b"354-go\r\n",
    b"421 bye\r\n",
    b"450 later 354 \r\n",
    b"550 no\r\n",
    b"250 no line end",
    b"nonsense\r\n",
    b"\xff50 x\n",
    b"",
)


def _read(*pieces: bytes) -> list[Reply] | None:
    """None for what is no reply."""
    reader, replies = ReplyReader(), []
    try:
        for piece in pieces:
            replies += reader.feed(piece)
    except NoReply:
        return None
    return None if reader.partial else replies


@given(st.lists(st.sampled_from(_LINES), max_size=5).map(b"".join))
@example(_LINES[0] + _LINES[2] * 2 + _LINES[5])
@example(_LINES[1] * 3 + _LINES[5])
@example(_LINES[3] + _LINES[0] + _LINES[0] + _LINES[0] + _LINES[5])
def test_a_round_is_taken_as_a_whole_exactly_where_each_line_says_yes(data: bytes) -> None:
    replies = _read(data)
    well = (
        replies is not None
        and data.count(b"\n") == len(replies) == 4
        and all(200 <= code < 300 for code, _ in replies[:3])
        and replies[3][0] == 354
    )
    found = whole_round(data)
    # A bare code without a space is one more way to say yes, read line by line.
    assert bool(found) == (well and b"\n250\r" not in b"\n" + data)
    if found is not None and replies is not None:
        assert (int(found[1]), found[2]) == replies[0]


@given(st.lists(st.sampled_from(_LINES), max_size=4).map(b"".join), st.integers(0, 90))
def test_the_same_octets_are_the_same_replies_however_they_are_cut(data: bytes, cut: int) -> None:
    whole = _read(data)
    in_pieces = _read(data[:cut], data[cut:])
    octets = _read(*(data[n : n + 1] for n in range(len(data))))
    assert _stripped(whole) == _stripped(in_pieces) == _stripped(octets)


def _stripped(replies: list[Reply] | None) -> list[Reply] | None:
    """A line read as a whole keeps its CR, which `text_of` drops."""
    return [(code, text.rstrip(b"\r")) for code, text in replies] if replies is not None else None


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        pytest.param(
            b"250-a\r\n550 b\r\n", [(550, b"a\nb")], id="mixed codes: the last line's counts"
        ),
        pytest.param(b"550-a\r\n250 b\r\n", [(250, b"a\nb")], id="the other way round"),
        pytest.param(
            b"250 a\r\n250-b\r\n250 c\r\n354 d\r\n",
            [(250, b"a"), (250, b"b\nc"), (354, b"d")],
            id="several in one read",
        ),
        pytest.param(b"250 a\n250 b\n", [(250, b"a"), (250, b"b")], id="bare line feeds"),
        pytest.param(b"250 a", None, id="no line end: no reply yet"),
        pytest.param(b"250-a\r\n", None, id="no last line: no reply yet"),
        pytest.param(b"250-a\r\nwhat?\r\n", None, id="nonsense inside of a reply"),
        pytest.param(b"666 a\r\n", None, id="a code that there is not"),
        pytest.param(b"250-" + b"x" * 1_000_000 + b"\r\n", None, id="a line of 1 MB"),
        pytest.param(b"250-x\r\n" * 150_000, None, id="lines of 1 MB"),
    ],
)
def test_what_servers_say_is_read_as_one_answer_each_or_as_none(
    octets: bytes, replies: list[Reply] | None
) -> None:
    assert _stripped(_read(octets)) == replies
    assert whole_round(octets) is None


def test_a_line_that_is_begun_is_no_reply_yet() -> None:
    reader = ReplyReader()
    assert reader.feed(b"250 2.0.0 O") == []
    assert reader.partial
    assert reader.feed(b"k\r\n") == [(250, b"2.0.0 Ok\r")]
    assert not reader.partial
    with pytest.raises(NoReply):
        reader.feed(b"hello\r\n")
