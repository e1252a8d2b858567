"""Senders drawn by weight, with their domains taking turns in proportion to what they can do."""

import heapq
import math
from collections.abc import Mapping

from dispatcher.domain.draws import fraction


class Weights:
    """Positive integers that can be changed and drawn from, each in logarithmic time."""

    def __init__(self, values: list[int]) -> None:
        self._size = 1 << max(0, len(values) - 1).bit_length()
        self._sums = [0] * self._size + values + [0] * (self._size - len(values))
        for node in range(self._size - 1, 0, -1):
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]

    @property
    def total(self) -> int:
        return self._sums[1]

    def get(self, index: int) -> int:
        return self._sums[self._size + index]

    def put(self, index: int, value: int) -> None:
        node = self._size + index
        change = value - self._sums[node]
        while node:
            self._sums[node] += change
            node >>= 1

    def at(self, chance: float) -> int:
        """The index at this part, in [0, 1), of the whole."""
        point, node = int(chance * self.total), 1
        while node < self._size:
            node *= 2
            if point >= self._sums[node]:
                point -= self._sums[node]
                node += 1
        return node - self._size


class _Domain:
    def __init__(self, members: list[tuple[str, int]], start: float) -> None:
        self.names = [name for name, _ in members]
        self.weights = Weights([weight for _, weight in members])
        self.served = start

    @property
    def turn(self) -> float:
        """The domain with the lowest one is next: the more weight, the sooner."""
        return self.served / self.weights.total


class Rotation:
    """Weights may only fall once it is made.

    Each domain's turns are as evenly apart as its weight allows; the first is a weighted draw, so
    that many short rotations are as fair as a long one.
    """

    def __init__(
        self, weights: Mapping[str, int], domains: Mapping[str, str], *about: object
    ) -> None:
        members: dict[str, list[tuple[str, int]]] = {}
        for sender_id in sorted(name for name, weight in weights.items() if weight > 0):
            members.setdefault(domains[sender_id], []).append((sender_id, weights[sender_id]))
        self._domains = {
            name: _Domain(senders, -math.log(1 - fraction(name, *about)) + 1e-12)
            for name, senders in members.items()
        }
        self._place = {
            sender_id: (domain, index)
            for domain in self._domains.values()
            for index, sender_id in enumerate(domain.names)
        }
        self._turns = [(domain.turn, name) for name, domain in self._domains.items()]
        heapq.heapify(self._turns)

    def __contains__(self, sender_id: str) -> bool:
        return self.weight(sender_id) > 0

    def weight(self, sender_id: str) -> int:
        domain, index = self._place.get(sender_id, (None, 0))
        return domain.weights.get(index) if domain else 0

    def put(self, sender_id: str, weight: int) -> None:
        """From now on this weight, which is not above the one before."""
        domain, index = self._place[sender_id]
        domain.weights.put(index, weight)

    def draw(self, *about: object) -> str | None:
        """A sender of the domain whose turn it is; None when no weight is left."""
        while self._turns:
            turn, name = self._turns[0]
            domain = self._domains[name]
            if not domain.weights.total:
                heapq.heappop(self._turns)
            elif domain.turn > turn:
                heapq.heapreplace(self._turns, (domain.turn, name))
            else:
                domain.served += 1
                return domain.names[domain.weights.at(fraction(*about))]
        return None
