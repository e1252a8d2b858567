"""What is due in virtual time, in the order in which it falls due; only what has room is looked at."""

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, TypeVar

M = TypeVar("M")
K = TypeVar("K", bound=Hashable)


class Backlog(Generic[M, K]):
    """Mails by their due time. `lane_of` says which of them compete for the same room."""

    def __init__(self, lane_of: Callable[[M], K]) -> None:
        self._lane_of = lane_of
        self._later: list[tuple[int, int, M]] = []
        self._due: dict[K, deque[M]] = {}
        self._order = count()

    def __len__(self) -> int:
        return len(self._later) + sum(map(len, self._due.values()))

    def add(self, due_ms: int, mail: M) -> None:
        """This one falls due then."""
        heapq.heappush(self._later, (due_ms, next(self._order), mail))

    def take(self, now_ms: int, room: Callable[[K], int]) -> list[M]:
        """What is due, of each lane as many as it has room for; they are gone from here."""
        while self._later and self._later[0][0] <= now_ms:
            _, _, mail = heapq.heappop(self._later)
            self._due.setdefault(self._lane_of(mail), deque()).append(mail)
        taken: list[M] = []
        for lane in list(self._due):
            queue = self._due[lane]
            taken += (queue.popleft() for _ in range(min(room(lane), len(queue))))
            if not queue:
                del self._due[lane]
        return taken

    def next_due(self, now_ms: int) -> int | None:
        """When there is something to look at: now, if some had no room; None: never."""
        if self._due:
            return now_ms
        return self._later[0][0] if self._later else None
