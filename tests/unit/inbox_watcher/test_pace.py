"""A small fleet is looked into each minute, a large one as often as a replica can afford."""

import pytest

from inbox_watcher.pace import Pace
from inbox_watcher.settings import Settings


@pytest.mark.parametrize(
    ("held", "seconds"),
    [(0, 60), (1, 60), (420, 60), (700, 100), (1000, 1000 / 7), (5000, 0.8 * 180)],
)
def test_so_many_mailboxes_wait_so_long(held: int, seconds: float) -> None:
    assert Pace(60, 7, 180, held).seconds == pytest.approx(seconds)


def test_what_the_operator_asks_for_is_never_shortened() -> None:
    assert Pace(600, 7, 180, 5000).seconds == 600


def test_by_default_no_mailbox_is_stale_for_want_of_a_look() -> None:
    fields = Settings.model_fields
    default = {name: fields[name].default for name in ("idle_seconds", "stale_seconds")}
    most = Pace(default["idle_seconds"], 7, default["stale_seconds"], 1_000_000).seconds
    assert most <= 0.8 * default["stale_seconds"]
