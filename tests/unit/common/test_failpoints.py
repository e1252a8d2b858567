"""Fail points: armed they end the process as kill -9 would, otherwise they do nothing."""

import signal
import subprocess
import sys

import pytest

from postfleet import failpoints

PROGRAM = """
from postfleet.failpoints import reach
for number in range(1, 6):
    print(number, flush=True)
    reach("before-claim")
    reach("after-dot")
"""


def _run(specification: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"POSTFLEET_FAIL_POINT": specification},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("specification", "reached", "code"),
    [
        pytest.param("", 5, 0, id="nothing is armed"),
        pytest.param("after-dot", 1, -signal.SIGKILL, id="the first time"),
        pytest.param("after-dot:3", 3, -signal.SIGKILL, id="the third time"),
        pytest.param("after-dot:9", 5, 0, id="never reached so often"),
        pytest.param("before-ack", 5, 0, id="another point"),
    ],
)
def test_a_process_ends_where_it_was_told(specification: str, reached: int, code: int) -> None:
    result = _run(specification)
    assert (len(result.stdout.split()), result.returncode) == (reached, code)


def test_a_point_that_does_not_exist_is_refused_with_those_that_do() -> None:
    result = _run("after-lunch")
    assert result.returncode == 1
    assert "no fail point 'after-lunch'; there are before-claim, after-claim" in result.stderr


def test_arming_nothing_disarms() -> None:
    failpoints.arm("after-dot:2")
    failpoints.arm("")
    failpoints.reach("after-dot")
    failpoints.reach("after-dot")
    assert failpoints.POINTS, "still here"
