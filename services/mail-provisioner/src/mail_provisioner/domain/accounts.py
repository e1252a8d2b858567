"""postfix-accounts.cf: `address|{SHA512-CRYPT}hash[|extra fields]`, one mailbox a line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mail_provisioner.domain.config_lines import (
    BrokenFile,
    Taken,
    significant,
    with_line,
    without_lines,
)

FILE = "postfix-accounts.cf"

_ADDRESS = re.compile(r"[^\s@|]+@[^\s@|]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Account:
    index: int  # of its line, from 0
    address: str
    password_hash: str


def accounts(text: str) -> Iterator[Account]:
    """Every mailbox of the file. Raises BrokenFile."""
    for index, line in significant(text):
        address, bar, rest = line.partition("|")
        if reason := _fault(line, address, bar, rest):
            raise BrokenFile(FILE, index + 1, reason)
        yield Account(index, address.lower(), rest.partition("|")[0])


def _fault(line: str, address: str, bar: str, rest: str) -> str:
    if "\r" in line:
        return "it ends in a carriage return; save the file with Unix line ends"
    if _FORBIDDEN.search(line):
        return "it holds a control character"
    if not bar:
        return "there is no | between address and password hash"
    if not _ADDRESS.fullmatch(address):
        return f"{address!r} is no address"
    if not rest.partition("|")[0].strip():
        return "the password hash is missing"
    return ""


def addresses(text: str) -> list[str]:
    return [account.address for account in accounts(text)]


def with_account(text: str, address: str, password_hash: str) -> str:
    """The file with this mailbox; unchanged if it is there. Raises Taken, BrokenFile."""
    found = [account for account in accounts(text) if account.address == address]
    if any(account.password_hash == password_hash for account in found):
        return text
    if found:
        raise Taken(f"{FILE}, line {found[0].index + 1}, has a mailbox {address} of other origin")
    return with_line(text, f"{address}|{password_hash}")


def without_account(text: str, address: str, only_with: str = "") -> str:
    """The file without this mailbox (and, if given, only with that hash). Raises BrokenFile."""
    gone = {
        account.index
        for account in accounts(text)
        if account.address == address and only_with in ("", account.password_hash)
    }
    return without_lines(text, gone)
