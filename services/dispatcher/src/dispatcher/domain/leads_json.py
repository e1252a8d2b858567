"""Leads out of a JSON list, or of one object a line (NDJSON), as they stream in."""

from collections.abc import Iterator
from typing import Any

import ijson  # type: ignore[import-untyped]
import orjson

from dispatcher.domain.lead_rows import (
    MAX_FIELDS,
    MAX_RECORD_BYTES,
    BadRow,
    LeadRow,
    UnusableFile,
    lead_row,
    wrong_name,
)

_FEED = 4 * 1024  # an entry that is too long or too deep is noticed within two of these
_MAX_OPEN = 200  # brackets: the parser's time grows with the square of the depth
_MAX_ENTRY = MAX_RECORD_BYTES + 2 * _FEED


class JsonReader:
    """A list of objects with `email`. Memory is bounded by one entry."""

    def __init__(self) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._found, "item", use_float=True)
        self._row = 0
        self._since = 0  # bytes since the last entry ended
        self._open = 0  # brackets that were opened and not closed in them
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[LeadRow | BadRow]:
        for start in range(0, len(chunk), _FEED):
            yield from self._piece(chunk[start : start + _FEED])

    def finish(self) -> Iterator[LeadRow | BadRow]:
        if not self._begun:
            raise UnusableFile("the body is empty; send a list of objects with email")
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise self._broken(error) from error
        yield from self._take()

    def _piece(self, piece: bytes) -> Iterator[LeadRow | BadRow]:
        if not self._begun and not self._opens_list(piece):
            return
        self._open += sum(map(piece.count, (b"[", b"{"))) - sum(map(piece.count, (b"]", b"}")))
        if self._open > _MAX_OPEN:
            raise UnusableFile(f"entry {self._row + 1} opens more than {_MAX_OPEN} brackets")
        try:
            self._parser.send(piece)
        except StopIteration as error:
            raise UnusableFile("there is something behind the end of the list") from error
        except ijson.JSONError as error:
            yield from self._take()
            raise self._broken(error) from error
        self._since += len(piece)
        if self._found:
            self._since = self._open = 0
            yield from self._take()
        elif self._since > _MAX_ENTRY:
            raise UnusableFile(f"entry {self._row + 1} is longer than {MAX_RECORD_BYTES} bytes")

    def _opens_list(self, piece: bytes) -> bool:
        first = piece.lstrip()[:1]
        if first and first != b"[":
            raise UnusableFile("the body must be a list of objects with email: begin with [")
        self._begun = bool(first)
        return self._begun

    def _take(self) -> Iterator[LeadRow | BadRow]:
        entries = list(self._found)
        self._found.clear()
        for entry in entries:
            self._row += 1
            yield _row(self._row, entry)

    def _broken(self, error: Exception) -> UnusableFile:
        reason = str(error).splitlines()[0][:200]
        return UnusableFile(f"the body is not JSON behind entry {self._row}: {reason}")


class NdjsonReader:
    """One object a line; a line that is no JSON costs no other."""

    def __init__(self) -> None:
        self._pending = b""
        self._row = 0
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[LeadRow | BadRow]:
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            yield from self._line(line)
        if len(self._pending) > MAX_RECORD_BYTES:
            if not self._skipping:
                yield from self._line(self._pending)
            self._skipping, self._pending = True, b""

    def finish(self) -> Iterator[LeadRow | BadRow]:
        line, self._pending = self._pending, b""
        if line and not self._skipping:
            yield from self._line(line)
        if not self._row:
            raise UnusableFile("the body is empty; send one object with email a line")

    def _line(self, line: bytes) -> Iterator[LeadRow | BadRow]:
        self._row += 1
        if len(line) > MAX_RECORD_BYTES:
            yield BadRow(self._row, "", f"the row is longer than {MAX_RECORD_BYTES} bytes")
        elif line.strip():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield BadRow(self._row, "", f"not JSON: {error}")
            else:
                yield _row(self._row, entry)


def _row(number: int, entry: Any) -> LeadRow | BadRow:
    if not isinstance(entry, dict) or not isinstance(entry.get("email"), str):
        return BadRow(number, "email", "each entry must be an object with email")
    if len(entry) > MAX_FIELDS:
        return BadRow(number, "", f"{len(entry)} fields; a lead may have {MAX_FIELDS}")
    cells = []
    for name, value in entry.items():
        if name == "email" or value is None:
            continue
        if not name or (reason := wrong_name(name)):
            return BadRow(number, name[:100], reason if name else "a field needs a name")
        text = _text(value)
        if text is None:
            return BadRow(number, name, "a field must be a text, a number, true or false")
        cells.append((name, text))
    return lead_row(number, ("email", entry["email"]), cells)


def _text(value: Any) -> str | None:
    """The value as JSON writes it, a text without its quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
