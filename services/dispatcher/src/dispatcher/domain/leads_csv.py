"""Leads out of a CSV file as it streams in: good rows, and for each bad one its number and reason."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field

from postfleet.addresses import InvalidAddress, canonical, check_text

MAX_RECORD_BYTES = 64 * 1024
MAX_FIELD_OCTETS = 10_000
_EMAIL_NAMES = ("email", "e-mail", "email_address", "email address", "mail")


@dataclass(frozen=True, slots=True)
class LeadRow:
    """`row` counts from 1, the heading being row 1, as a spreadsheet shows it."""

    row: int
    address: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    row: int
    field: str
    reason: str


class BadHeading(ValueError):
    """The file cannot be used at all; the text names the column and the remedy."""


class LeadReader:
    """Feed it bytes, take rows. Memory is bounded by one record. Raises BadHeading."""

    def __init__(self) -> None:
        self._pending = b""
        self._skipping = False
        self._row = 0
        self._columns: list[str] | None = None
        self._email = 0
        self._delimiter = ","

    def feed(self, chunk: bytes) -> Iterator[LeadRow | BadRow]:
        self._pending += chunk
        while (record := self._next_record()) is not None:
            yield from self._accept(record)

    def finish(self) -> Iterator[LeadRow | BadRow]:
        record, self._pending = self._pending, b""
        if self._skipping:
            self._skipping = False
        elif record.strip():
            self._row += 1
            yield from self._accept(record)
        if self._columns is None:
            raise BadHeading(
                "the file is empty; its first line must name the columns, one of them email"
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

    def _accept(self, record: bytes) -> Iterator[LeadRow | BadRow]:
        if not record.strip():
            return
        if len(record) > MAX_RECORD_BYTES:
            if self._columns is None:
                raise BadHeading(f"the first line is longer than {MAX_RECORD_BYTES} bytes")
            yield BadRow(self._row, "", f"the row is longer than {MAX_RECORD_BYTES} bytes")
            return
        try:
            text = record.decode("utf-8-sig" if self._columns is None else "utf-8")
        except UnicodeDecodeError as error:
            if self._columns is None:
                raise BadHeading("the first line is not UTF-8; save the file as UTF-8") from error
            yield BadRow(
                self._row, "", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
            )
            return
        if self._columns is None:
            self._heading(text)
            return
        if "\n" in text and not self._well_formed(text):
            # A stray quote has swallowed line ends: take the lines one by one.
            self._row -= 1
            for line in text.split("\n"):
                self._row += 1
                if line.strip():
                    yield self._lead(line)
        else:
            yield self._lead(text)

    def _well_formed(self, text: str) -> bool:
        try:
            return len(_split(text, self._delimiter)) <= len(self._columns or ())
        except csv.Error:
            return False

    def _heading(self, text: str) -> None:
        self._delimiter = max(",;\t", key=text.count)
        try:
            columns = [name.strip() for name in _split(text, self._delimiter)]
        except csv.Error as error:
            raise BadHeading(f"the first line is not CSV: {error}") from error
        lowered = [name.lower() for name in columns]
        email = next((lowered.index(name) for name in _EMAIL_NAMES if name in lowered), None)
        if email is None:
            raise BadHeading("there is no column email in the first line")
        self._columns, self._email = columns, email

    def _lead(self, text: str) -> LeadRow | BadRow:
        try:
            cells = [cell.strip() for cell in _split(text, self._delimiter)]
        except csv.Error as error:
            return BadRow(self._row, "", f"not CSV: {error}")
        columns = self._columns or []
        if len(cells) > len(columns):
            return BadRow(self._row, "", f"{len(cells)} cells, but only {len(columns)} columns")
        raw = cells[self._email] if self._email < len(cells) else ""
        try:
            address = canonical(raw)
        except InvalidAddress as error:
            return BadRow(self._row, columns[self._email], f"{raw[:100]!r}: {error}")
        fields = {}
        for index, (name, cell) in enumerate(zip(columns, cells, strict=False)):
            if index == self._email or not name or not cell:
                continue
            try:
                fields[name] = check_text(cell, max_octets=MAX_FIELD_OCTETS)
            except ValueError as error:
                return BadRow(self._row, name, str(error))
        return LeadRow(self._row, address, fields)


def _split(text: str, delimiter: str) -> list[str]:
    rows = list(csv.reader([text.rstrip("\r")], delimiter=delimiter, strict=True))
    return rows[0] if rows else []
