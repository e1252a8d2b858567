"""Campaigns take turns: one mail each, in an order that changes from pass to pass."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from dispatcher.domain.draws import fraction
from dispatcher.domain.eligibility import Lane


class Waits(Protocol):
    """What stands in a queue."""

    @property
    def campaign_id(self) -> str: ...

    @property
    def lane(self) -> Lane: ...


T = TypeVar("T", bound=Waits)


def in_turns(candidates: Sequence[T], place: Callable[[T], bool], *about: object) -> None:
    """Call `place` for each, the transactional lane first; within a lane each campaign in its turn.

    A candidate that could not be placed does not cost its campaign the turn. So two campaigns that
    both still have candidates when the senders are full got numbers that differ by one at most.
    """
    for lane in Lane:
        ring = deque(_queues((one for one in candidates if one.lane is lane), about))
        while ring:
            queue = ring.popleft()
            while queue and not place(queue.popleft()):
                pass
            if queue:
                ring.append(queue)


def _queues(candidates: Iterable[T], about: tuple[object, ...]) -> list[deque[T]]:
    queues: dict[str, deque[T]] = {}
    for one in candidates:
        queues.setdefault(one.campaign_id, deque()).append(one)
    return [queues[name] for name in sorted(queues, key=lambda name: fraction(name, *about))]
