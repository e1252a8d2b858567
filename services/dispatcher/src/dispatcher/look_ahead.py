"""How many mails are claimed before their turn, so that connections never wait for the database."""

import math
import time

_SMOOTHING = 0.2  # the weight of the newest measurement


class LookAhead:
    """As many mails as a connection sends while one group of claims is written, and one more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._commit_seconds = 0.005
        self._sent_per_second = 0.0
        self._since = time.monotonic()
        self._count = 0

    def committed(self, seconds: float) -> None:
        self._commit_seconds += _SMOOTHING * (seconds - self._commit_seconds)

    def sent(self) -> None:
        self._count += 1

    def per_connection(self, connections: int) -> int:
        now = time.monotonic()
        elapsed = now - self._since
        if elapsed > 0.05:
            rate = self._count / elapsed
            self._sent_per_second += _SMOOTHING * (rate - self._sent_per_second)
            self._since, self._count = now, 0
        each = self._sent_per_second / max(1, connections)
        return max(1, min(self._most, 1 + math.ceil(2 * each * self._commit_seconds)))
