"""Block lists of the operator: senders (addresses, domains) and networks whose mail is refused."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

import idna

from mail_provisioner.domain.relays import EntryState
from postfleet.addresses import InvalidAddress, canonical, check_domain

SENDER_FILE = "postfix-send-access.cf"
NETWORK_FILE = "postfleet/ip-access"  # named in postfix-main.cf as postscreen_access_list


class BlockKind(StrEnum):
    ADDRESS = "address"
    DOMAIN = "domain"
    NETWORK = "network"


class NotBlockable(ValueError):
    """The text says what an entry may be."""


@dataclass(frozen=True, slots=True)
class Block:
    """`entry` is the address, domain or network in canonical form."""

    entry: str
    kind: BlockKind
    reason: str
    state: EntryState
    created_at: int  # epoch ms
    error_code: str = ""
    error_reason: str = ""

    @property
    def file(self) -> str:
        return NETWORK_FILE if self.kind is BlockKind.NETWORK else SENDER_FILE

    @property
    def value(self) -> str:
        """What Postfix does: access(5) answers with our text, postscreen(8) knows `reject` only."""
        if self.kind is BlockKind.NETWORK:
            return "reject"
        return "REJECT " + (self.reason or "not accepted here")


def classify(text: str) -> tuple[BlockKind, str]:
    """What an entry is, and its canonical form. Raises NotBlockable."""
    entry = text.strip()
    try:
        return BlockKind.NETWORK, str(ip_network(entry, strict=False))
    except ValueError:
        pass
    try:
        if "@" in entry:
            address = canonical(entry)
            if any(character in address for character in ' "#'):
                raise InvalidAddress("a quoted name cannot be blocked")
            return BlockKind.ADDRESS, address
        check_domain(entry)
        return BlockKind.DOMAIN, (
            entry if entry.isascii() else idna.encode(entry.lower()).decode()
        ).lower()
    except InvalidAddress as error:
        raise NotBlockable(
            f"give an address, a domain, an IP address or a network: {error}"
        ) from error
