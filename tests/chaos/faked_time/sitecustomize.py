"""For processes under libfaketime: a sleep that it cannot refuse.

`time.sleep` waits for a moment of the monotonic clock, which libfaketime compares with its own time of
day: after a jump ahead it answers EINVAL at once.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
