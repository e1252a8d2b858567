"""A row of an import, whatever its format: a lead, or what is wrong with it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from dispatcher.domain.consent import NO_CONSENT, Consent, parse_consent
from postfleet.addresses import InvalidAddress, canonical

MAX_RECORD_BYTES = 64 * 1024
MAX_FIELD_OCTETS = 10_000
MAX_FIELDS = 200
MAX_NAME_OCTETS = 100
CONSENT_COLUMNS = ("consent", "consent_at", "consent_source")

# Control characters, lone surrogates and line separators; line ends and tabs are text in a body,
# and a header refuses them when it is filled.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class LeadRow:
    """`row` counts from 1, in a CSV file with the heading as row 1, as a spreadsheet shows it."""

    row: int
    address: str
    fields: dict[str, str] = field(default_factory=dict)
    consent: Consent = NO_CONSENT


@dataclass(frozen=True, slots=True)
class BadRow:
    row: int
    field: str
    reason: str


class UnusableFile(ValueError):
    """The file cannot be read on; the text names the place and the remedy."""

    code = "BAD_FILE"


class Rows(Protocol):
    """Reads a file in pieces of any size. Both methods raise UnusableFile."""

    def feed(self, chunk: bytes) -> Iterable[LeadRow | BadRow]: ...

    def finish(self) -> Iterable[LeadRow | BadRow]: ...


def lead_row(
    row: int, email: tuple[str, str], cells: Iterable[tuple[str, str]]
) -> LeadRow | BadRow:
    """From the name and text of the address, and of every other cell that is not empty."""
    try:
        address = canonical(email[1])
    except InvalidAddress as error:
        return BadRow(row, email[0], f"{email[1][:100]!r}: {error}")
    fields: dict[str, str] = {}
    consent: dict[str, str] = {}
    for name, cell in cells:
        if reason := wrong_text(cell):
            return BadRow(row, name, reason)
        (consent if name in CONSENT_COLUMNS else fields)[name] = cell
    if not consent:
        return LeadRow(row, address, fields)
    try:
        return LeadRow(row, address, fields, parse_consent(*map(consent.get, CONSENT_COLUMNS, _NO)))
    except ValueError as error:
        name, _, reason = str(error).partition(": ")
        return BadRow(row, name, reason)


_NO = ("", "", "")


def wrong_text(cell: str) -> str:
    """Why this text can be no field's value, or nothing."""
    if found := _NOT_TEXT.search(cell):
        return f"the control character U+{ord(found[0]):04X} is not allowed"
    if len(cell) > MAX_FIELD_OCTETS or len(cell.encode()) > MAX_FIELD_OCTETS:
        return f"longer than {MAX_FIELD_OCTETS} octets"
    return ""


def wrong_name(name: str) -> str:
    """Why this can be no field's name, or nothing."""
    if found := re.search("[\r\n\t]", name) or _NOT_TEXT.search(name):
        return f"the control character U+{ord(found[0]):04X} is not allowed"
    if len(name) > MAX_NAME_OCTETS or len(name.encode("utf-8", "replace")) > MAX_NAME_OCTETS:
        return f"longer than {MAX_NAME_OCTETS} octets"
    return ""
