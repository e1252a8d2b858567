"""A text compiled to octets: what is fixed is encoded once, what a lead brings when it is filled in.

The fixed octets behind a slot begin on a line of their own, after a soft line break, so that they
do not depend on what the slot will hold.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.links import check_links
from dispatcher.domain.quoted_printable import MAX_COLUMN, SOFT_BREAK, clean, encode
from dispatcher.domain.slots import Place, Slot
from dispatcher.domain.spintax import chosen
from dispatcher.domain.templates import Drawn, Template, Tree

_LEAST_ROOM = 24  # a slot with less of its line left begins a new one
_TOKEN_ROOM = 56  # the longest of our own tokens
#: Values that need no thought: printable ASCII, nothing to escape, no white space at the ends.
_AS_IT_IS = {
    Place.TEXT: r"[!-<>-~](?:[ -<>-~]*[!-<>-~])?",
    Place.HTML: r"[!#-%(-;?-~](?:[ !#-%(-;?-~]*[!#-%(-;?-~])?",
}


class QpSlot:
    """A slot at a column; `ends_line` where a line end follows."""

    __slots__ = ("_as_it_is", "_column", "_ends_line", "_reads_as_it_is", "_room", "_slot", "name")

    def __init__(self, slot: Slot, column: int, *, ends_line: bool) -> None:
        self._slot, self._column, self._ends_line = slot, column, ends_line
        self.name, self._room = slot.name, MAX_COLUMN - column
        start = "" if column else "(?![.F])"  # what no line may begin with
        self._as_it_is = re.compile(start + _AS_IT_IS.get(slot.place, "(?!)")).fullmatch
        self._reads_as_it_is = re.compile(start + _AS_IT_IS[Place.TEXT]).fullmatch

    def octets(self, values: Mapping[str, str]) -> bytes:
        value = values.get(self.name, "")
        if len(value) <= self._room and self._as_it_is(value):
            return value.encode("ascii")
        text = clean(self._slot.text(values))
        if len(text) <= self._room and self._reads_as_it_is(text):
            return text.encode("ascii")
        return encode(text, self._column, ends_line=self._ends_line)

    def takes(self, length: int) -> bool:
        """A token of ours of that length always stands here as it is."""
        return length <= self._room and self._slot.place is not Place.DESTINATION


@dataclass(frozen=True, slots=True)
class QpChoice:
    number: int
    options: tuple["Segments", ...]

    def octets(self, values: Mapping[str, str], seed: str) -> bytes:
        out: list[bytes] = []
        _fill((self,), values, seed, out)
        return b"".join(out)


Segments = tuple[bytes | QpSlot | QpChoice, ...]


class Part:
    """A body in quoted-printable; it ends with a line end. Filling raises BadTemplate, BadLink.

    `segments` is None for a text that takes Liquid: `octets` fills that one.
    """

    def __init__(self, template: Template) -> None:
        self._template = template
        tree = template.tree
        self.segments = _compiled((*tree, "\n"), last=True) if tree is not None else None

    def octets(self, values: Mapping[str, str], seed: str) -> bytes:
        cleaned = {name: clean(value) for name, value in values.items()}
        text = clean(self._template.render(cleaned, seed)) + "\n"
        if self._template.html:
            check_links(text)  # Liquid may have made one
        return encode(text)


def _fill(segments: Segments, values: Mapping[str, str], seed: str, out: list[bytes]) -> None:
    for segment in segments:
        if type(segment) is bytes:
            out.append(segment)
        elif type(segment) is QpSlot:
            out.append(segment.octets(values))
        elif isinstance(segment, QpChoice):
            option = segment.options[chosen(seed, segment.number, len(segment.options))]
            _fill(option, values, seed, out)


def _compiled(tree: Tree, *, last: bool = False) -> Segments:
    """`last`: nothing follows; else a soft line break does."""
    parts = _joined(tree)
    segments: list[bytes | QpSlot | QpChoice] = []
    column, behind = 0, False  # behind a slot or a choice: what follows begins a line
    for number, part in enumerate(parts):
        following = parts[number + 1] if number + 1 < len(parts) else None
        if isinstance(part, str):
            octets = encode(part, ends_line=last and following is None)
            if behind and not (part.startswith("\n") and _is_slot(parts[number - 1])):
                octets = SOFT_BREAK + octets
            column, behind = len(octets) - octets.rfind(b"\n") - 1, False
            if following is not None and column and _too_late(following, column):
                octets, column = octets + SOFT_BREAK, 0
            segments.append(octets)
            continue
        if behind:
            segments.append(SOFT_BREAK)
            column = 0
        if isinstance(part, Slot):
            ends_line = isinstance(following, str) and following.startswith("\n")
            segments.append(QpSlot(part, column, ends_line=ends_line))
        else:
            segments.append(QpChoice(part.number, tuple(map(_compiled, part.options))))
        column, behind = 0, True
    return tuple(segments)


def _joined(tree: Tree) -> Sequence[str | Slot | Drawn]:
    """Neighbouring words as one, cleaned."""
    parts: list[str | Slot | Drawn] = []
    for part in tree:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif not isinstance(part, str) or part:
            parts.append(part)
    return [clean(part) if isinstance(part, str) else part for part in parts]


def _is_slot(part: object) -> bool:
    return isinstance(part, Slot)


def _too_late(following: object, column: int) -> bool:
    """A choice begins a line of its own; a slot too, where little of the line is left."""
    if isinstance(following, Slot):
        wanted = _TOKEN_ROOM if following.name.startswith("__") else _LEAST_ROOM
        return MAX_COLUMN - column < wanted
    return True
