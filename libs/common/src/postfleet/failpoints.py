"""Named places where a test ends the process, as `kill -9` would: how we prove what a crash costs.

`POSTFLEET_FAIL_POINT=after-dot:3` ends the process the third time it gets there;
`dispatcher/after-dot:3@once` means that service only, and only while the file `once` exists, which
is removed with it. Without the variable every point is a comparison and nothing more.
"""

import os
import signal
import sys
from pathlib import Path

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
    "intake-after-store",
    "consume-before-handler",
    "consume-before-ack",
    "outbox-before-publish",
    "outbox-after-publish",
)

_armed = ""
_left = 0
_once: Path | None = None


def arm(specification: str) -> None:
    """`[service/]name[:count][@file]`. Raises ValueError for a name that is none of ours."""
    global _armed, _left, _once
    point, _, file = specification.partition("@")
    service, _, named = point.rpartition("/")
    name, _, count = named.partition(":")
    if name and name not in POINTS:
        raise ValueError(f"no fail point {name!r}; there are {', '.join(POINTS)}")
    wanted = not service or service.replace("-", "_") == _program()
    _once = Path(file) if file else None
    _armed = name if wanted and (_once is None or _once.exists()) else ""
    _left = int(count or 1)


def _program() -> str:
    """The package that `python -m` runs."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return str(spec.parent) if spec else ""


def reach(name: str) -> None:
    """The process is here; it ends if this point is armed and its count is up."""
    global _left
    if name != _armed:
        return
    _left -= 1
    if _left <= 0:
        if _once is not None:
            _once.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("POSTFLEET_FAIL_POINT", ""))
