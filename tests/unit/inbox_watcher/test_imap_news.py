"""When the open folder has news: more mail than there was when it was opened."""

import asyncio
from typing import Any, cast

import pytest
from aioimaplib.aioimaplib import Command  # type: ignore[import-untyped]

from inbox_watcher.imap_protocol import GuardedProtocol, ImapLimits

OPENED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 2] ok\r\nA1 OK opened\r\n"


class Written:
    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


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
    protocol = GuardedProtocol(asyncio.get_running_loop(), ImapLimits())
    protocol.transport = cast(Any, Written())
    protocol.state = "AUTH"
    opening = Command("EXAMINE", "A1", "INBOX")
    protocol.begin(opening)
    for data in said:
        protocol.data_received(data)
    assert opening.response.result == "OK"
    assert protocol.news is news
