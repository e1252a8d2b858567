"""A compiled mail as one row of octets: what is fixed between two places is one piece.

So a mail costs what its places cost, and one join. The first piece is the header that each letter has
of its own. Tokens of ours need no encoder where the line has room for them: they are letters, digits,
`-` and `_`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dispatcher.domain.segments import Part, QpChoice, QpSlot, Segments
from dispatcher.domain.templates import BadTemplate

MAX_PART_BYTES = 3 * 1024 * 1024


class Token(NamedTuple):
    """The place of a token outside of the texts."""

    name: str


Piece = bytes | Token | Part


class Row:
    """`tokens`: name -> length, in the order in which they are given to `filled`.

    `spells`: some place asks for tokens by name, among the values.
    """

    def __init__(self, pieces: Iterable[Piece], tokens: Mapping[str, int]) -> None:
        self._lengths, self._numbers = tokens, {name: n for n, name in enumerate(tokens)}
        self._fixed: list[bytes] = [b""]
        self._tokens: list[tuple[int, int]] = []  # place in the row, number of the token
        self._slots: list[tuple[int, QpSlot]] = []
        self._drawn: list[tuple[int, QpChoice | Part]] = []
        self._parts: list[tuple[int, int]] = []  # from, to
        self._joins = False  # the last piece of the row is fixed, and more may be added to it
        self.spells = False
        for piece in pieces:
            self._add(piece)

    def filled(
        self, head: bytes, tokens: Sequence[bytes], values: Mapping[str, str], seed: str
    ) -> bytes:
        """The mail. Raises BadTemplate, BadLink."""
        row = self._fixed.copy()
        row[0] = head
        for place, number in self._tokens:
            row[place] = tokens[number]
        for place, slot in self._slots:
            row[place] = slot.octets(values)
        for place, drawn in self._drawn:
            row[place] = drawn.octets(values, seed)
        content = b"".join(row)
        if len(content) > MAX_PART_BYTES:
            self._check(row)
        return content

    def _check(self, row: Sequence[bytes]) -> None:
        for start, end in self._parts:
            if sum(map(len, row[start:end])) > MAX_PART_BYTES:
                raise BadTemplate(f"the result is longer than {MAX_PART_BYTES} bytes")

    def _add(self, piece: Piece) -> None:
        if isinstance(piece, Part):
            self._joins = False
            start = len(self._fixed)
            self._add_part(piece.segments, piece)
            self._parts.append((start, len(self._fixed)))
            self._joins = False
        elif isinstance(piece, Token):
            self._tokens.append((self._place(), self._numbers[piece.name]))
        else:
            self._add_octets(piece)

    def _add_part(self, segments: Segments | None, part: Part) -> None:
        if segments is None:
            self._draw(part)
            return
        for segment in segments:
            if isinstance(segment, bytes):
                self._add_octets(segment)
            elif isinstance(segment, QpSlot):
                self._add_slot(segment)
            else:
                self._draw(segment)

    def _add_slot(self, slot: QpSlot) -> None:
        length = self._lengths.get(slot.name)
        if length is not None and slot.takes(length):
            self._tokens.append((self._place(), self._numbers[slot.name]))
            return
        self.spells = self.spells or length is not None
        self._slots.append((self._place(), slot))

    def _draw(self, drawn: QpChoice | Part) -> None:
        self.spells = True
        self._drawn.append((self._place(), drawn))

    def _place(self) -> int:
        self._joins = False
        self._fixed.append(b"")
        return len(self._fixed) - 1

    def _add_octets(self, octets: bytes) -> None:
        if self._joins:
            self._fixed[-1] += octets
        else:
            self._fixed.append(octets)
        self._joins = True
