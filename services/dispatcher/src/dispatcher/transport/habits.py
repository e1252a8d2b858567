"""Which hosts are spoken to one command at a time, because pipelining has gone wrong there."""

import time
from collections.abc import Callable

from prometheus_client import Counter

_FORGET_SECONDS = 3600.0  # then pipelining is tried again
_LOSSES = 2  # in a row, that nothing else explains
_MAX_HOSTS = 10_000

distrusted = Counter(
    "postfleet_smtp_pipelining_distrusted_total",
    "Hosts that announced PIPELINING and were found not to mean it, by what showed it",
    ["reason"],
)


class Habits:
    """Kept in memory: a new process learns again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._losses: dict[str, int] = {}

    def one_by_one(self, host: str) -> bool:
        return self._until.get(host, 0.0) > self._clock()

    def misbehaved(self, host: str, reason: str) -> None:
        """`reason`: `timeout`, `sequence`, `garbage`: it cannot be trusted with a group again."""
        if len(self._until) >= _MAX_HOSTS:
            self._until.clear()
        if not self.one_by_one(host):
            distrusted.labels(reason).inc()
        self._until[host] = self._clock() + _FORGET_SECONDS

    def lost(self, host: str) -> None:
        """It hung up between a group and its replies: the network, or its way to say no."""
        if len(self._losses) >= _MAX_HOSTS:
            self._losses.clear()
        self._losses[host] = self._losses.get(host, 0) + 1
        if self._losses[host] >= _LOSSES:
            del self._losses[host]
            self.misbehaved(host, "lost")

    def worked(self, host: str) -> None:
        """A connection came to a good end with groups."""
        self._losses.pop(host, None)
