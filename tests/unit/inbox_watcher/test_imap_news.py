"""When the open folder has news: more mail than there was when it was opened."""

import asyncio
from typing import Any, cast

import pytest
from aioimaplib.aioimaplib import Command  # type: ignore[import-untyped]

from inbox_watcher.imap_protocol import GuardedProtocol, ImapLimits

OPENED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 2] ok\r\nA1 OK opened\r\n"


class Written:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def abort(self) -> None: ...


def connected() -> tuple[GuardedProtocol, Written]:
    protocol, written = GuardedProtocol(asyncio.get_running_loop(), ImapLimits()), Written()
    protocol.transport = cast(Any, written)
    protocol.state = "AUTH"
    return protocol, written


@pytest.mark.parametrize(
    ("said", "news"),
    [
        pytest.param([OPENED], False, id="what is there is no news"),
        pytest.param([OPENED, b"* 2 EXISTS\r\n"], True, id="one more"),
        pytest.param([OPENED + b"* 2 EXISTS\r\n"], True, id="one more, in the same segment"),
        pytest.param([OPENED, b"* 1 RECENT\r\n* FLAGS ()\r\n"], False, id="something else"),
    ],
)
async def test_the_first_count_is_no_news_and_the_next_one_is(
    said: list[bytes], news: bool
) -> None:
    protocol, _ = connected()
    opening = Command("EXAMINE", "A1", "INBOX")
    protocol.begin(opening)
    for data in said:
        protocol.data_received(data)
    assert opening.response.result == "OK"
    assert protocol.news is news


async def test_folders_looked_at_in_one_piece_each_have_their_answer() -> None:
    protocol, written = connected()
    first, second = Command("STATUS", "A1", "Junk"), Command("STATUS", "A2", "Sent")
    protocol.begin(first, second)
    assert written.pieces == [b"A1 STATUS Junk\r\nA2 STATUS Sent\r\n"]
    protocol.data_received(b"* STATUS Junk (UIDNEXT 5)\r\nA1 OK done\r\n* STATUS Sent (UIDN")
    assert (protocol.answered(first), protocol.answered(second)) == (True, False)
    protocol.data_received(b"EXT 7)\r\nA2 NO not now\r\n")
    assert protocol.answered(second)
    assert first.response.lines[0] == b"STATUS Junk (UIDNEXT 5)"
    assert second.response.lines[0] == b"STATUS Sent (UIDNEXT 7)"
    assert (first.response.result, second.response.result, protocol.lost) == ("OK", "NO", "")


async def test_an_answer_out_of_turn_ends_the_connection() -> None:
    protocol, _ = connected()
    protocol.begin(Command("STATUS", "A1", "Junk"), Command("STATUS", "A2", "Sent"))
    waiting = asyncio.create_task(protocol.until(lambda: False, 60))
    await asyncio.sleep(0)
    protocol.data_received(b"A2 OK done\r\n")
    assert not await waiting, "who waits is woken"
    assert "unexpected tagged response" in protocol.lost


async def test_a_wait_ends_at_its_deadline() -> None:
    protocol, _ = connected()
    assert not await protocol.until(lambda: False, 0.01)
    assert protocol.lost == ""
