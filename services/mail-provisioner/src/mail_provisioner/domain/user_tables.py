"""The finished tables of a large fleet, below `postfleet/` in the configuration volume.

docker-mailserver rebuilds its own files line by line, in quadratic time; these are read by Dovecot and
Postfix as they are. They are ours alone, so that a line is found by searching, not by parsing: one
change among 20,000 mailboxes costs milliseconds.
"""

from mail_provisioner.domain.config_lines import Taken, with_line

USERS = "postfleet/userdb"  # Dovecot passwd-file: address:hash:uid:gid::home::
MAILBOXES = "postfleet/vmailbox"  # Postfix: address -> directory
ALIASES = "postfleet/virtual"  # Postfix, as postfix-virtual.cf
DOMAINS = "postfleet/domains"  # Postfix: domain -> OK
_VMAIL = 5000  # docker-mailserver's owner of all mail


def user_line(address: str, password_hash: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{address}:{password_hash}:{_VMAIL}:{_VMAIL}::/var/mail/{domain}/{local}::"


def mailbox_line(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{address} {domain}/{local}/"


def line_of(text: str, start: str) -> str:
    """The line that begins so, or ""."""
    at = 0 if text.startswith(start) else text.find(f"\n{start}") + 1
    if at == 0 and not text.startswith(start):
        return ""
    end = text.find("\n", at)
    return text[at:] if end < 0 else text[at:end]


def with_user(text: str, address: str, password_hash: str) -> str:
    """The table with this mailbox; unchanged if it is there. Raises Taken."""
    line = user_line(address, password_hash)
    there = line_of(text, f"{address}:")
    if there == line:
        return text
    if there:
        raise Taken(f"{USERS} has a mailbox {address} of other origin")
    return with_line(text, line)


def with_entry(text: str, key: str, line: str) -> str:
    """The table with this line for a key; unchanged if the key is there."""
    return text if line_of(text, f"{key} ") else with_line(text, line)


def without_line(text: str, start: str, only: str = "") -> str:
    """The table without the line that begins so (if given, only that very line)."""
    line = line_of(text, start)
    if not line or only not in ("", line):
        return text
    at = 0 if text.startswith(start) else text.find(f"\n{start}") + 1
    return text[:at] + text[at + len(line) + 1 :]


def serves(text: str, domain: str) -> bool:
    """Whether a table of users or aliases has an address of the domain."""
    return f"@{domain}:" in text or f"@{domain} " in text
