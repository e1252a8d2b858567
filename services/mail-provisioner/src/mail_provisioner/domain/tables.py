"""Postfix tables of the form `key value`, where others may have entries too."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from mail_provisioner.domain.config_lines import (
    BrokenFile,
    Taken,
    significant,
    with_line,
    without_lines,
)

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_REVISION = "# postfleet revision "


@dataclass(frozen=True, slots=True)
class Entry:
    indexes: tuple[int, ...]  # its lines, from 0: one that starts with a blank continues it
    key: str
    value: str


def entries(file: str, text: str) -> list[Entry]:
    """Every entry of the file (postmap(1)), keys in lower case. Raises BrokenFile."""
    found: list[Entry] = []
    for index, line in significant(text):
        if _FORBIDDEN.search(line):
            raise BrokenFile(file, index + 1, "it holds a carriage return or control character")
        if line[0] not in " \t":
            key, _, value = line.replace("\t", " ").partition(" ")
            found.append(Entry((index,), key.lower(), value.strip()))
        elif found:
            last = found[-1]
            value = f"{last.value} {line.strip()}".strip()
            found[-1] = Entry((*last.indexes, index), last.key, value)
        else:
            raise BrokenFile(file, index + 1, "it starts with a blank but continues no entry")
    return found


def with_entry(file: str, text: str, key: str, value: str) -> str:
    """The file with this entry; unchanged if it is there. Raises Taken, BrokenFile."""
    there = [entry for entry in entries(file, text) if entry.key == key]
    if any(entry.value == value for entry in there):
        return text
    if there:
        line = there[0].indexes[0] + 1
        raise Taken(f"{file}, line {line}, has an entry {key} of other origin")
    return with_line(text, f"{key} {value}".rstrip())


def without_entry(file: str, text: str, key: str, values: Collection[str]) -> str:
    """The file without this entry, if it has one of the values that we wrote. Raises BrokenFile."""
    gone = {
        index
        for entry in entries(file, text)
        if entry.key == key and entry.value in values
        for index in entry.indexes
    }
    return without_lines(text, gone)


def with_revision(text: str, revision: int) -> str:
    """The file with another comment in it: docker-mailserver notices and reloads Postfix."""
    kept = [line for line in text.split("\n") if not line.startswith(_REVISION)]
    return with_line("\n".join(kept), f"{_REVISION}{revision}")
