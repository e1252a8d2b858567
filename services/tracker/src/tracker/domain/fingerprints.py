"""Which facts were counted: eight bytes of each in memory, so that asking costs no database.

A fingerprint is a hash; of a hundred million facts two share one with a chance of 1 in 3,700.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b

_MERGED = 1 << 18  # at most so many in one sorted array: a merge stays under 20 ms


def fingerprint(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Fingerprints:
    """A set that only grows, 8 bytes an element: sorted arrays, merged when they are of like size."""

    def __init__(self) -> None:
        self._tiers: list[array[int]] = []

    def __contains__(self, wanted: int) -> bool:
        for tier in self._tiers:
            place = bisect_left(tier, wanted)
            if place < len(tier) and tier[place] == wanted:
                return True
        return False

    def __len__(self) -> int:
        return sum(map(len, self._tiers))

    def add(self, new: Iterable[int]) -> None:
        tier = array("Q", sorted(new))
        if not tier:
            return
        while self._tiers and len(self._tiers[-1]) <= 2 * len(tier) <= _MERGED:
            tier = array("Q", sorted([*self._tiers.pop(), *tier]))
        self._tiers.append(tier)
        self._tiers.sort(key=len, reverse=True)
