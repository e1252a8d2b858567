"""Which folders of a mailbox are read: INBOX and Junk. Sent holds what we wrote ourselves."""

import re
from dataclasses import dataclass

_LIST = re.compile(
    rb'LIST \(([^)]{0,400})\) (?:"(?:[^"\\]|\\.)"|NIL) (?:"((?:[^"\\]|\\.)*)"|(\S+))$'
)

#: Names of junk folders where the server does not mark one (RFC 6154), in lower case.
_JUNK_NAMES = (
    "junk",
    "spam",
    "junk e-mail",
    "junk email",
    "bulk mail",
    "bulk",
    "inbox.junk",
    "inbox.spam",
    "inbox/junk",
    "inbox/spam",
    "[gmail]/spam",
    "[google mail]/spam",
    "spamverdacht",
    "courrier indésirable",
    "correo no deseado",
)


@dataclass(frozen=True, slots=True)
class Folder:
    """`name` as the server wrote it (modified UTF-7), so that it can be sent back."""

    name: str
    junk: bool = False
    marked: bool = False  # by the server, with \\Junk


INBOX = Folder("INBOX")


def folder_of(line: bytes) -> Folder | None:
    """The folder of a LIST response, if it is one that can be opened."""
    found = _LIST.match(line)
    if found is None:
        return None
    attributes = found[1].lower().split()
    if b"\\noselect" in attributes or b"\\nonexistent" in attributes:
        return None
    octets = found[3] if found[2] is None else re.sub(rb"\\(.)", rb"\1", found[2])
    name = octets.decode("utf-8", "replace")
    marked = b"\\junk" in attributes
    return Folder(name, junk=marked or name.lower() in _JUNK_NAMES, marked=marked)


def folders_to_read(folders: list[Folder]) -> list[Folder]:
    """INBOX, then the junk folders (the marked one alone, if the server marks one)."""
    junk = [folder for folder in folders if folder.junk and folder.name.upper() != "INBOX"]
    marked = [folder for folder in junk if folder.marked]
    return [INBOX, *(marked or junk)[:3]]
