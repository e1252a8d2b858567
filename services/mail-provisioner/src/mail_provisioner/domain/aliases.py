"""postfix-virtual.cf: `alias target[,target…]`, and `@domain target` for a catch-all.

Postfix asks this table before it looks for mailboxes, so a catch-all swallows every mailbox of its
domain unless each has an identity line `ann@one.test ann@one.test`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from mail_provisioner.domain.config_lines import (
    BrokenFile,
    Taken,
    significant,
    with_line,
    with_lines_before,
    without_lines,
)

FILE = "postfix-virtual.cf"

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(slots=True)
class _Entry:
    indexes: list[int]  # its lines, from 0: one that starts with a blank continues the one before
    source: str
    targets: list[str] = field(default_factory=list)


def _entries(text: str) -> list[_Entry]:
    """Every entry of the file (postmap(1)). Raises BrokenFile."""
    entries: list[_Entry] = []
    for index, line in significant(text):
        if "\r" in line:
            reason = "it ends in a carriage return; save the file with Unix line ends"
            raise BrokenFile(FILE, index + 1, reason)
        if _FORBIDDEN.search(line):
            raise BrokenFile(FILE, index + 1, "it holds a control character")
        words = line.replace(",", " ").split()
        if line[0] not in " \t":
            entries.append(_Entry([index], words.pop(0).lower() if words else ""))
        elif entries:
            entries[-1].indexes.append(index)
        else:
            raise BrokenFile(FILE, index + 1, "it starts with a blank but continues no entry")
        entries[-1].targets.extend(word.lower() for word in words)
    for entry in entries:
        if not entry.source or not entry.targets:
            raise BrokenFile(FILE, entry.indexes[0] + 1, "an alias needs a target after it")
    return entries


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Source -> targets; of two entries with one source, the first counts. Raises BrokenFile."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in _entries(text):
        found.setdefault(entry.source, tuple(entry.targets))
    return found


def check_free_for_mailbox(text: str, address: str) -> None:
    """A mailbox may not have the name of an alias: the alias would take its mail. Raises Taken."""
    targets = table(text).get(address)
    if targets is not None and targets != (address,):
        raise Taken(f"{FILE} has an alias {address}")


def with_alias(text: str, alias: str, targets: tuple[str, ...]) -> str:
    """The file with this alias; unchanged if it is there. Raises Taken, BrokenFile."""
    known = table(text)
    if known.get(alias) == targets:
        return text
    if alias in known:
        raise Taken(f"{FILE} has an alias {alias} of other origin")
    if leads_back(known, alias, targets):
        raise Taken(f"{alias} would lead back to itself through the aliases in {FILE}")
    return with_line(text, f"{alias} {','.join(targets)}")


def with_targets(
    text: str, alias: str, known_as: Iterable[tuple[str, ...]], targets: tuple[str, ...]
) -> str:
    """The file with other targets for an alias of ours, in the place where it stands.

    `known_as`: the targets that we may have written. Raises Taken if it has others, BrokenFile.
    """
    table_now = table(text)
    if table_now.get(alias) == targets:
        return text
    if table_now.get(alias) not in set(known_as):
        raise Taken(f"the line of {alias} in {FILE} was changed or removed by hand")
    if leads_back({k: v for k, v in table_now.items() if k != alias}, alias, targets):
        raise Taken(f"{alias} would lead back to itself through the aliases in {FILE}")
    lines = text.split("\n")
    entry = next(entry for entry in _entries(text) if entry.source == alias)
    lines[entry.indexes[0]] = f"{alias} {','.join(targets)}"
    return without_lines("\n".join(lines), set(entry.indexes[1:]))


def without_alias(text: str, alias: str, only_to: tuple[str, ...] = ()) -> str:
    """The file without this alias (and, if given, only with those targets). Raises BrokenFile."""
    gone = {
        index
        for entry in _entries(text)
        if entry.source == alias and only_to in ((), tuple(entry.targets))
        for index in entry.indexes
    }
    return without_lines(text, gone)


def leads_back(known: dict[str, tuple[str, ...]], alias: str, targets: tuple[str, ...]) -> bool:
    """Whether mail for `alias` would come to `alias` again."""
    ahead, seen = list(targets), set[str]()
    while ahead:
        address = ahead.pop()
        if address == alias:
            return True
        if address not in seen:
            seen.add(address)
            ahead.extend(target for target in known.get(address, ()) if target != address)
    return False


def with_identities(text: str, mailboxes: Iterable[str]) -> str:
    """The file with an identity line above the catch-all for each mailbox that lacks one."""
    places: dict[str, int] = {}
    for entry in _entries(text):
        places.setdefault(entry.source, entry.indexes[0])
    added: dict[int, list[str]] = {}
    for mailbox in dict.fromkeys(mailboxes):
        place = places.get("@" + mailbox.rpartition("@")[2])
        if place is not None and mailbox not in places:
            added.setdefault(place, []).append(f"{mailbox} {mailbox}")
    return with_lines_before(text, added) if added else text


def without_identity(text: str, mailbox: str) -> str:
    """The file without the mailbox's identity line, so that a catch-all takes its mail again."""
    return without_alias(text, mailbox, only_to=(mailbox,))
