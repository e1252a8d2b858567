"""Suppressions out of a CSV file, read as leads are: one column is the entry, the others say why."""

from dataclasses import dataclass

from dispatcher.domain.csv_records import RecordReader
from dispatcher.domain.lead_rows import BadRow
from dispatcher.domain.suppression import Kind, entry_of, kind_of, original
from postfleet.addresses import InvalidAddress, check_text

_NAMES = ("entry", "email", "e-mail", "address", "domain")
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class EntryRow:
    row: int
    entry: str
    kind: Kind
    reason: str


class EntryReader(RecordReader[EntryRow]):
    """`domain` is a column of domains; `@` before one is understood in the others too."""

    names = _NAMES

    def made(
        self, row: int, first: tuple[str, str], cells: list[tuple[str, str]]
    ) -> EntryRow | BadRow:
        others = {name.lower(): original(cell) for name, cell in cells}
        text = original(first[1])
        if first[0].lower() == "domain":
            text = f"@{text.removeprefix('@')}"
        try:
            entry = entry_of(text)
        except InvalidAddress as error:
            return BadRow(row, first[0], f"{text[:100]!r}: {error}")
        try:
            kind = kind_of(others.get("kind", ""))
            reason = check_text(others.get("reason") or kind.value, max_octets=MAX_REASON)
        except ValueError as error:
            return BadRow(row, "kind" if "none of" in str(error) else "reason", str(error))
        return EntryRow(row, entry, kind, reason)
