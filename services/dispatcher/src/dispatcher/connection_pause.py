"""How long nobody connects after a failed try: longer each time."""

import time

_SECONDS = (1.0, 5.0, 30.0, 120.0)
_PATIENCE = 3  # failed tries in a row


class Pause:
    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def holds(self) -> bool:
        return time.monotonic() < self._until

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self._until - time.monotonic())

    @property
    def patient(self) -> bool:
        """It has not failed so often yet that what is claimed must not wait any more."""
        return self._failures < _PATIENCE

    def begin(self) -> bool:
        """A try has failed. False if this pause holds already: tries that failed together are one."""
        if self.holds:
            return False
        seconds = _SECONDS[min(self._failures, len(_SECONDS) - 1)]
        self._failures += 1
        self._until = time.monotonic() + seconds
        return True

    def reset(self) -> None:
        """A try has gone well. A pause that holds is waited for all the same."""
        self._failures = 0
