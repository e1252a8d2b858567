"""What the services must keep when their clock jumps: the caps of every sender and day."""

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.chaos.stage import Run, Stage

DAILY_LIMIT = 100
_OVER_CAP = 1  # a mail that was on its way when the day changed
_PATIENCE_SECONDS = 300.0
_QUIET_SECONDS = 6.0


def on_to_the_end(stage: Stage, run: Run) -> None:
    """Day after day until the campaign is over: a day's mails stay in the caps."""
    assert stage.clock is not None
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not stage.finished(run):
        assert time.monotonic() < deadline, "the campaign does not come to its end"
        before = stage.accepted()
        time.sleep(_QUIET_SECONDS)
        if stage.accepted() == before and not stage.finished(run):
            stage.clock.jump(timedelta(days=1))


def caps_kept(stage: Stage) -> None:
    """No sender was over its limit on any day of the jumping clock, by the mail world's ledger."""
    days = Counter(
        (record["sender"], datetime.fromtimestamp(record["at"] / 1000, UTC).date())
        for record in stage.platform.sandbox("/ledger")
        if record["kind"] == "accepted"
    )
    over = {key: count for key, count in days.items() if count > DAILY_LIMIT + _OVER_CAP}
    assert days, "nothing was sent"
    assert not over, f"over the cap of {DAILY_LIMIT}: {over}"


def clocks_go_back(stage: Stage, rng: random.Random) -> None:
    """The night in which Berlin's clocks go back: its local hour from 2 to 3 comes twice."""
    assert stage.clock is not None
    time.sleep(rng.uniform(0.0, 1.0))
    year = stage.clock.now().year + 1
    last = datetime(year, 10, 31, 1, tzinfo=UTC)
    stage.clock.jump_to(last - timedelta(days=(last.weekday() + 1) % 7, seconds=3))
    time.sleep(6)
    stage.clock.jump(timedelta(hours=1))  # the same local time again
    time.sleep(3)
