"""A CSV file as it streams in: what each row is made of, and for each bad one its number and reason."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from dispatcher.domain.lead_rows import (
    MAX_FIELDS,
    MAX_RECORD_BYTES,
    BadRow,
    UnusableFile,
    wrong_name,
)

_FEED = 16 * 1024  # what is pending is copied with each record
_DELIMITERS = ",;\t"
_OTHER_ENCODINGS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"e\x00": "UTF-16",
    b"PK": "a spreadsheet or an archive",
    b"\x1f\x8b": "compressed",
}


class BadHeading(UnusableFile):
    """The file cannot be used at all; the text names the column and the remedy."""

    code = "BAD_HEADING"


Row = TypeVar("Row")


class RecordReader(ABC, Generic[Row]):
    """Feed it bytes, take rows. Memory is bounded by one record. Raises BadHeading."""

    names: tuple[str, ...] = ()  # of the column that every row needs, the best one first

    @abstractmethod
    def made(self, row: int, first: tuple[str, str], cells: list[tuple[str, str]]) -> Row | BadRow:
        """From the name and text of that column, and of every other cell that is not empty."""

    def __init__(self) -> None:
        self._pending = b""
        self._skipping = False
        self._row = 0
        self._columns: list[str] | None = None
        self._first = 0
        self._delimiter = ","

    def feed(self, chunk: bytes) -> Iterator[Row | BadRow]:
        for start in range(0, len(chunk), _FEED):
            yield from self._piece(chunk[start : start + _FEED])

    def _piece(self, piece: bytes) -> Iterator[Row | BadRow]:
        self._pending += piece
        while (record := self._next_record()) is not None:
            yield from self._accept(record)

    def finish(self) -> Iterator[Row | BadRow]:
        record, self._pending = self._pending, b""
        if self._skipping:
            self._skipping = False
        elif record.strip():
            self._row += 1
            yield from self._accept(record)
        if self._columns is None:
            raise BadHeading(
                "the file is empty; its first line must name the columns, one of them "
                f"{self.names[0]}"
            )

    def _next_record(self) -> bytes | None:
        """A whole record: up to a line end outside quotes. None: more bytes are needed."""
        if self._skipping:
            return self._drop(self._pending.find(b"\n"))
        start = quotes = 0
        first = None
        while True:
            end = self._pending.find(b"\n", start, MAX_RECORD_BYTES + 1)
            if end < 0:
                if len(self._pending) <= MAX_RECORD_BYTES:
                    return None
                if first is not None:  # a quote that is never closed: take the line by itself
                    return self._take(first)
                self._skipping = True
                self._row += 1
                return b"\x00" * (MAX_RECORD_BYTES + 1)
            quotes += self._pending.count(b'"', start, end)
            if quotes % 2 == 0:
                return self._take(end)
            first = end if first is None else first
            start = end + 1

    def _take(self, end: int) -> bytes:
        record, self._pending = self._pending[:end], self._pending[end + 1 :]
        self._row += 1
        return record

    def _drop(self, end: int) -> bytes | None:
        """Forget an oversized record up to its line end."""
        if end < 0:
            self._pending = b""
            return None
        self._pending = self._pending[end + 1 :]
        self._skipping = False
        return self._next_record()

    def _accept(self, record: bytes) -> Iterator[Row | BadRow]:
        if not record.strip():
            return
        if len(record) > MAX_RECORD_BYTES:
            if self._columns is None:
                raise BadHeading(f"the first line is longer than {MAX_RECORD_BYTES} bytes")
            yield BadRow(self._row, "", f"the row is longer than {MAX_RECORD_BYTES} bytes")
            return
        if self._columns is None:
            self._heading(_heading_text(record))
            return
        try:
            text = record.decode()
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
            yield BadRow(self._row, "", reason)
            return
        if "\n" in text and not self._well_formed(text):
            # A stray quote has swallowed line ends: take the lines one by one.
            self._row -= 1
            for line in text.split("\n"):
                self._row += 1
                if line.strip():
                    yield self._read(line)
        else:
            yield self._read(text)

    def _well_formed(self, text: str) -> bool:
        try:
            return len(_split(text, self._delimiter)) <= len(self._columns or ())
        except csv.Error:
            return False

    def _heading(self, text: str) -> None:
        self._delimiter, columns = _columns(text, self.names)
        if len(columns) > MAX_FIELDS:
            raise BadHeading(f"{len(columns)} columns; there may be {MAX_FIELDS}: remove some")
        lowered = [name.lower() for name in columns]
        for place, name in enumerate(lowered):
            if name and name in lowered[:place]:
                earlier = lowered.index(name) + 1
                raise BadHeading(
                    f"column {columns[place]!r} is there twice, as number {earlier} and {place + 1}:"
                    " rename or remove one"
                )
            if reason := wrong_name(columns[place]):
                raise BadHeading(f"column {place + 1}: {reason}: rename it")
        first = _place(lowered, self.names)
        if first is None:
            named = ", ".join(name[:40] for name in columns[:10])
            raise BadHeading(f"there is no column {self.names[0]} in the first line, only {named}")
        self._columns, self._first = columns, first

    def _read(self, text: str) -> Row | BadRow:
        try:
            cells = [cell.strip() for cell in _split(text, self._delimiter)]
        except csv.Error as error:
            return BadRow(self._row, "", f"not CSV: {error}")
        columns = self._columns or []
        if len(cells) > len(columns):
            return BadRow(self._row, "", f"{len(cells)} cells, but only {len(columns)} columns")
        first = cells[self._first] if self._first < len(cells) else ""
        named = []
        for place, cell in enumerate(cells):
            if cell and place != self._first:
                if not columns[place]:
                    return BadRow(self._row, "", f"column {place + 1} has no name in the heading")
                named.append((columns[place], cell))
        return self.made(self._row, (columns[self._first], first), named)


def _heading_text(record: bytes) -> str:
    for start, what in _OTHER_ENCODINGS.items():
        if record.startswith(start):
            raise BadHeading(f"the file is {what}, not UTF-8; save it as CSV in UTF-8")
    try:
        return record.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadHeading("the first line is not UTF-8; save the file as UTF-8") from error


def _columns(text: str, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """The delimiter under which there is a wanted column, or else the most columns."""
    found: list[tuple[bool, int, str, list[str]]] = []
    wrong: csv.Error | None = None
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip() for name in _split(text, delimiter)]
        except csv.Error as error:
            wrong = wrong or error
            continue
        has_first = _place([name.lower() for name in names], wanted) is not None
        found.append((has_first, len(names), delimiter, names))
    if not found:
        raise BadHeading(f"the first line is not CSV: {wrong}") from wrong
    best = max(found, key=lambda one: one[:2])
    return best[2], best[3]


def _place(lowered: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((lowered.index(name) for name in wanted if name in lowered), None)


def _split(text: str, delimiter: str) -> list[str]:
    rows = list(csv.reader([text.rstrip("\r")], delimiter=delimiter, strict=True))
    return rows[0] if rows else []
