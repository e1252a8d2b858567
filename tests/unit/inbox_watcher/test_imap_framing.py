"""The byte stream of an IMAP server is cut into responses, within limits on everything."""

import pytest

from inbox_watcher.imap_protocol import Framer, ImapFailure, ImapLimits
from inbox_watcher.mailbox_names import Folder, folder_of, folders_to_read

_LIMITS = ImapLimits(line_bytes=100, literal_bytes=50, command_bytes=2000, command_lines=20)


def framed(*chunks: bytes) -> list[list[bytes | bytearray]]:
    framer = Framer(_LIMITS)
    return [response for chunk in chunks for response in framer.feed(chunk)]


def test_a_literal_belongs_to_its_response_and_may_hold_line_ends() -> None:
    stream = b"* 1 FETCH (BODY[] {6}\r\na\r\nb\r\n UID 1)\r\n* 2 EXISTS\r\n"
    expected = [[b"* 1 FETCH (BODY[] {6}", b"a\r\nb\r\n", b" UID 1)"], [b"* 2 EXISTS"]]
    assert framed(stream) == expected


def test_the_stream_may_be_cut_anywhere() -> None:
    stream = b"* 1 FETCH (BODY[] {6}\r\na\r\nb\r\n UID 1)\r\n* 2 EXISTS\r\n"
    whole = framed(stream)
    assert framed(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    for cut in range(len(stream)):
        assert framed(stream[:cut], stream[cut:]) == whole


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"x" * 101, id="a line without end"),
        pytest.param(b"x" * 101 + b"\r\n", id="a line that is too long"),
        pytest.param(b"* {51}\r\n", id="a literal that is too large"),
        pytest.param(b"* {" + b"9" * 80 + b"}\r\n", id="a literal of absurd size"),
        pytest.param(b"* x\r\n" * 21, id="too many lines"),
        pytest.param((b"* {50}\r\n" + b"x" * 50 + b"\r\n") * 40, id="too many bytes"),
    ],
)
def test_beyond_a_limit_the_connection_is_of_no_more_use(stream: bytes) -> None:
    with pytest.raises(ImapFailure):
        framed(stream)


@pytest.mark.parametrize("stream", [b"x" * 98 + b"\r\n", b"* {50}\r\n", b"* x\r\n" * 20])
def test_at_the_limit_all_is_well(stream: bytes) -> None:
    assert isinstance(framed(stream), list)


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        (rb'LIST (\HasNoChildren \Junk) "." Junk', Folder("Junk", True, True)),
        (rb'LIST () "/" "[Gmail]/Spam"', Folder("[Gmail]/Spam", True)),
        (rb'LIST (\Noselect) "/" "Junk"', None),
        (rb'LIST () NIL "a \"b\""', Folder('a "b"')),
        (rb"LIST garbage", None),
    ],
)
def test_folders_are_read_from_list_responses(line: bytes, folder: Folder | None) -> None:
    assert folder_of(line) == folder


def test_inbox_comes_first_and_a_marked_junk_folder_stands_for_all() -> None:
    names = [Folder("Sent"), Folder("Spam", True), Folder("Müll", True, True), Folder("INBOX")]
    assert [folder.name for folder in folders_to_read(names)] == ["INBOX", "Müll"]
    assert [folder.name for folder in folders_to_read(names[:2])] == ["INBOX", "Spam"]
