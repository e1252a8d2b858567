"""Every thread of tests/data/reply_texts gives what was written now, neither more nor less.

`outlook-*`: header blocks in 39 languages; `attr-*`: how clients introduce a quote, marked and not;
`device-*`: lines of apps; `keep-*`: words that only look like history. A new one is one line there.
"""

import json
from pathlib import Path

import pytest

from inbox_watcher.domain.reply_text import new_text

_FILE = Path(__file__).parents[2] / "data" / "reply_texts" / "threads.jsonl"
_THREADS = [json.loads(line) for line in _FILE.read_text().splitlines()]


@pytest.mark.seed("S183")
@pytest.mark.parametrize("thread", _THREADS, ids=lambda thread: thread["name"])
def test_a_thread_gives_what_was_written_now(thread: dict[str, str]) -> None:
    assert new_text(thread["text"]) == thread["new"]


def test_there_are_threads_of_every_family() -> None:
    families = {thread["name"].partition("-")[0] for thread in _THREADS}
    assert {"outlook", "attr", "device", "keep"} <= families
    assert len(_THREADS) >= 300
