"""Which language a page speaks: the one that the reader's browser likes best (RFC 9110 §12.5.4)."""

from collections.abc import Collection

_ENTRIES = 20  # of a header that are looked at


def best_liked(accept_language: str, spoken: Collection[str], otherwise: str = "en") -> str:
    """The code of one of the languages that are `spoken`."""
    wanted: list[tuple[float, str]] = []
    for entry in accept_language.split(",")[:_ENTRIES]:
        name, _, parameter = entry.partition(";")
        wanted.append((-_quality(parameter), name.strip().lower().partition("-")[0]))
    for quality, name in sorted(wanted, key=lambda item: item[0]):
        if name in spoken and quality < 0:
            return name
    return otherwise


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
