"""Chance that repeats itself: a draw is a pure function of what it is about."""

from collections.abc import Sequence
from hashlib import sha256


def fraction(*about: object) -> float:
    """A number in [0, 1), the same for the same parts on every machine."""
    digest = sha256("\x1f".join(map(str, about)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def draw(weights: Sequence[float], *about: object) -> int:
    """An index, by weight. Raises ValueError when no weight is positive."""
    total = sum(weights)
    if total <= 0:
        raise ValueError("no weight is positive")
    point = fraction(*about) * total
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight > 0)
