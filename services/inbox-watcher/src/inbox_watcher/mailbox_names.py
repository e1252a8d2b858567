"""Which folders of a mailbox are read: INBOX and Junk. Sent holds what we wrote ourselves: evidence."""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_LIST = re.compile(
    rb'LIST \(([^)]{0,400})\) (?:"(?:[^"\\]|\\.)"|NIL) (?:"((?:[^"\\]|\\.)*)"|(\S+))$'
)
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]{0,200})-")

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

#: Names of the folder of sent mail, in lower case.
_SENT_NAMES = (
    "sent",
    "sent items",
    "sent messages",
    "sent mail",
    "sent-mail",
    "inbox.sent",
    "inbox.sent items",
    "inbox/sent",
    "[gmail]/sent mail",
    "[google mail]/sent mail",
    "gesendet",
    "gesendete elemente",
    "gesendete objekte",
    "éléments envoyés",
    "messages envoyés",
    "envoyés",
    "enviados",
    "elementos enviados",
    "itens enviados",
    "posta inviata",
    "inviata",
    "verzonden items",
    "skickat",
    "sendt",
    "wysłane",
    "отправленные",
    "gönderilmiş öğeler",
    "已发送",
    "送信済みトレイ",
    "送信済みメール",
)


@dataclass(frozen=True, slots=True)
class Folder:
    """`name` as the server wrote it (modified UTF-7), so that it can be sent back."""

    name: str
    junk: bool = False
    marked: bool = False  # by the server, with \\Junk or \\Sent (RFC 6154)
    sent: bool = False

    @property
    def use(self) -> str:
        """What it is for; its own name may tell of a person."""
        if self.name.upper() == "INBOX":
            return "inbox"
        return "junk" if self.junk else "sent" if self.sent else "other"


INBOX = Folder("INBOX")
MAX_MORE = 20  # folders that are read by setting: each is asked for its state at every look


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
    use = {b"\\junk", b"\\sent"}.intersection(attributes)
    known = _readable(name).lower()
    return Folder(
        name,
        junk=b"\\junk" in use or (not use and known in _JUNK_NAMES),
        sent=b"\\sent" in use or (not use and known in _SENT_NAMES),
        marked=bool(use),
    )


def folders_to_read(folders: list[Folder], more: Sequence[str] = ()) -> list[Folder]:
    """INBOX, then the junk folders (the marked one alone, if the server marks one), then `more`.

    `more` are patterns of names as people see them; Sent is never read as if mail arrived there.
    """
    others = [folder for folder in folders if folder.name.upper() != "INBOX"]
    junk = [folder for folder in others if folder.junk]
    marked = [folder for folder in junk if folder.marked]
    wanted = [f for f in others if not (f.junk or f.sent) and _is_named(f, more)]
    return [INBOX, *(marked or junk)[:3], *wanted[:MAX_MORE]]


def _is_named(folder: Folder, patterns: Sequence[str]) -> bool:
    name = _readable(folder.name).casefold()
    return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)


def sent_folder(folders: list[Folder]) -> Folder | None:
    """Where copies of sent mail lie: the folder that the server marks, else the one of that name."""
    sent = [folder for folder in folders if folder.sent]
    return next((folder for folder in sent if folder.marked), sent[0] if sent else None)


def _readable(name: str) -> str:
    """A folder name without its modified UTF-7 (RFC 3501 §5.1.3); as it is where it has none."""
    return _SHIFTED.sub(_unshifted, name)


def _unshifted(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    octets = found[1].replace(",", "/").encode()
    try:
        return binascii.a2b_base64(octets + b"=" * (-len(octets) % 4)).decode("utf-16-be")
    except (binascii.Error, UnicodeError):
        return found[0]
