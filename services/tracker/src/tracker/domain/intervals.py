"""How sure a rate is: Wilson's score interval, which is right for few mails and rates near 0 or 1."""

from math import sqrt

_Z = 1.959964  # 95 %


def interval(hits: int, of: int) -> tuple[float, float]:
    """The bounds between which the true rate lies in 19 of 20 cases; (0, 1) where nothing is known."""
    if of <= 0:
        return 0.0, 1.0
    rate = min(1.0, hits / of)
    spread = _Z * sqrt(rate * (1 - rate) / of + _Z**2 / (4 * of**2))
    centre, scale = rate + _Z**2 / (2 * of), 1 + _Z**2 / of
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return round(max(0.0, low), 4), round(min(1.0, high), 4)
