"""How many mails went to a destination lately, as a rate: what the first throttling halves."""

from collections import deque

_MINUTE_MS = 60_000
_MINUTES = 10
_MOST = 20_000  # destinations


class Meter:
    """Counts by minute; at most ten minutes and a bounded number of destinations are kept."""

    def __init__(self) -> None:
        self._counts: dict[str, deque[tuple[int, int]]] = {}

    def add(self, destination: str, at: int) -> None:
        minute = at // _MINUTE_MS
        counts = self._counts.get(destination)
        if counts is None:
            if len(self._counts) >= _MOST:
                self._forget(minute)
            counts = self._counts[destination] = deque(maxlen=_MINUTES)
        if counts and counts[-1][0] >= minute:
            counts[-1] = (counts[-1][0], counts[-1][1] + 1)
        else:
            counts.append((minute, 1))

    def per_hour(self, destination: str, now: int) -> float:
        minute = now // _MINUTE_MS
        recent = (n for at, n in self._counts.get(destination, ()) if at > minute - _MINUTES)
        return sum(recent) * 60 / _MINUTES

    def _forget(self, minute: int) -> None:
        """What has not been mailed for ten minutes goes; if all was, everything does."""
        alive = {d: c for d, c in self._counts.items() if c[-1][0] > minute - _MINUTES}
        self._counts = alive if len(alive) < _MOST else {}
