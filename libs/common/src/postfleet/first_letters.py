"""A regular expression of many alternatives, written so that its first letter tells which to try.

`(?:over|under)sized|oval` becomes `o(?:versized|val)|undersized`: `re` passes over places where no
alternative begins, and compares a letter to tell which of them can. It matches the same texts at
the same places; what it cannot take apart it leaves as it is. For tables in the verbose manner of
ours: groups without capture, no flags, no names.
"""

import re
from collections.abc import Iterator

_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d*,?\d*\})\??")
_LETTERS_OF_CLASS = re.compile(r"\[([^\]\\^-]{1,12})\]")
_ASSERTIONS = ("(?<!", "(?<=")
_MEANS_SOMETHING = ".^$*+?{}[]\\|()"
_MAX_GROWTH = 40  # copies of what follows a group


class _NoFirstLetter(Exception):
    """The alternative stays as it is."""


def by_first_letter(pattern: str) -> str:
    """The same alternatives, in their order as far as it matters."""
    runs: list[list[str]] = [[]]
    for alternative in _alternatives(pattern):
        try:
            runs[-1].extend(_heads(alternative))
        except _NoFirstLetter:
            runs.extend(([alternative], []))
    sorted_runs = (run if index % 2 else _grouped(run) for index, run in enumerate(runs))
    return "|".join(piece for run in sorted_runs for piece in run)


def _grouped(pieces: list[str]) -> list[str]:
    """Pieces that begin with a letter; those with the same one together."""
    rests: dict[str, list[str]] = {}
    for piece in pieces:
        letter = _literal(piece)
        rests.setdefault(letter, []).append(piece[len(letter) :])
    return [
        letter + (rest[0] if len(rest) == 1 else f"(?:{'|'.join(rest)})")
        for letter, rest in ((letter, list(dict.fromkeys(r))) for letter, r in rests.items())
    ]


def _literal(piece: str) -> str:
    return piece[:2] if piece[0] == "\\" else piece[0]


def _heads(alternative: str) -> list[str]:
    """The alternative as several that each begin with a letter."""
    if not alternative:
        raise _NoFirstLetter
    atom, quantifier, rest = _first(alternative)
    if quantifier not in ("", "?"):
        raise _NoFirstLetter
    if atom == r"\b" or atom.startswith(_ASSERTIONS):
        found = _asserted(atom, rest)
    elif atom.startswith("(?:"):
        found = [head + rest for head in _grouped(_bodies(atom[3:-1]))]
    else:
        found = [letter + rest for letter in _letters(atom)]
    found += _heads(rest) if quantifier else []
    if len(found) > _MAX_GROWTH:
        raise _NoFirstLetter
    return found


def _bodies(body: str) -> list[str]:
    return [head for alternative in _alternatives(body) for head in _heads(alternative)]


def _asserted(atom: str, rest: str) -> list[str]:
    """What must stand before the letter is looked at behind it."""
    if not rest:
        raise _NoFirstLetter
    kind, condition = ("(?<=", atom) if atom == r"\b" else (atom[:4], f"(?:{atom[4:-1]})")
    heads = _heads(rest)
    return [
        f"{letter}{kind}{condition}{letter}){head[len(letter) :]}"
        for letter, head in ((_literal(head), head) for head in heads)
    ]


def _letters(atom: str) -> list[str]:
    if atom[0] == "[":
        found = _LETTERS_OF_CLASS.fullmatch(atom)
        if found is None:
            raise _NoFirstLetter
        return [f"\\{c}" if c in _MEANS_SOMETHING else c for c in found[1]]
    if atom[0] == "\\":
        if atom[1].isalnum():
            raise _NoFirstLetter
        return [atom]
    if atom in _MEANS_SOMETHING or len(atom) > 1:
        raise _NoFirstLetter
    return [atom]


def _first(pattern: str) -> tuple[str, str, str]:
    """(first atom, its quantifier, what follows)."""
    end = next(_ends(pattern))
    quantifier = _QUANTIFIER.match(pattern, end)
    after = quantifier.end() if quantifier else end
    return pattern[:end], pattern[end:after], pattern[after:]


def _alternatives(pattern: str) -> Iterator[str]:
    start = position = 0
    for end in _ends(pattern):
        if pattern[position:end] == "|":
            yield pattern[start:position]
            start = end
        position = end
    yield pattern[start:]


def _ends(pattern: str) -> Iterator[int]:
    """Where each atom ends: a group, a class, an escape, a character."""
    depth = 0
    for atom in _ATOM.finditer(pattern):
        depth += (atom[0] == "(") - (atom[0] == ")")
        if not depth:
            yield atom.end()
