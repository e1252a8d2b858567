"""Named places where a test ends the process, as `kill -9` would: how we prove what a crash costs.

`POSTFLEET_FAIL_POINT=after-dot:3` ends the process the third time it gets there. Without the
variable every point is a comparison and nothing more.
"""

import os
import signal

POINTS = (
    "before-claim",
    "after-claim",
    "before-attempt",
    "after-attempt",
    "after-dot",
    "before-settle",
    "after-settle",
    "after-publish",
    "before-ack",
    "consume-before-handler",
    "consume-before-ack",
    "outbox-before-publish",
    "outbox-after-publish",
)

_armed = ""
_left = 0


def arm(specification: str) -> None:
    """`name` or `name:count`. Raises ValueError for a name that is none of ours."""
    global _armed, _left
    name, _, count = specification.partition(":")
    if name and name not in POINTS:
        raise ValueError(f"no fail point {name!r}; there are {', '.join(POINTS)}")
    _armed, _left = name, int(count or 1)


def reach(name: str) -> None:
    """The process is here; it ends if this point is armed and its count is up."""
    global _left
    if name != _armed:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("POSTFLEET_FAIL_POINT", ""))
