"""Which names a mailbox, an alias or a group of ours may have (the part before the @).

These rules bind what we create. Addresses of others follow RFC 5321 alone: see `postfleet.addresses`.
"""

import re

_NAME = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")
_SEPARATORS = "+-"  # docker-mailserver cuts an address here: ann+shop and ann-shop reach ann
_RESERVED_ENDING = ".app"  # kept for the mailboxes of applications
MAX_CHARACTERS = 200
MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1


class NameRefused(ValueError):
    """`code` is for programs, the text names the remedy."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_name(name: str) -> str:
    """The name in lower case. Raises NameRefused."""
    if len(name) > MAX_CHARACTERS:
        raise NameRefused("NAME_TOO_LONG", f"longer than {MAX_CHARACTERS} characters")
    if len(name.encode()) > MAX_LOCAL_OCTETS:
        raise NameRefused(
            "LOCAL_PART_TOO_LONG",
            f"longer than the {MAX_LOCAL_OCTETS} octets that RFC 5321 allows before the @",
        )
    if any(separator in name for separator in _SEPARATORS):
        raise NameRefused(
            "NAME_HAS_SEPARATOR",
            "+ and - separate tags from names; leave them out: mail to no-reply@ reaches `no`",
        )
    lowered = name.lower() if name.isascii() else name
    if not _NAME.fullmatch(lowered):
        raise NameRefused(
            "NAME_NOT_ALLOWED", "use letters a-z, digits, and single dots between them"
        )
    if lowered.endswith(_RESERVED_ENDING):
        raise NameRefused("NAME_RESERVED", f"names that end in {_RESERVED_ENDING} are reserved")
    return lowered
