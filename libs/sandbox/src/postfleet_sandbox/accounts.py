"""The mailboxes that log in: over SMTP to send, over IMAP to read."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hmac import compare_digest
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox. Its address, in lower case, is also its user name."""

    address: str
    password: str
    saves_sent: bool = False  # the provider files accepted mails in Sent by itself, as Gmail does


class Accounts:
    """All accounts, kept in one JSON-lines file; the last line about an address holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_address: dict[str, Account] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                account = Account(**json.loads(line))
                self._by_address[account.address] = account

    def add(self, account: Account) -> None:
        """Create or replace an account."""
        if self._by_address.get(account.address) == account:
            return
        with self._path.open("a") as lines:
            lines.write(json.dumps(asdict(account)) + "\n")
        self._by_address[account.address] = account

    def get(self, address: str) -> Account | None:
        """Return the account with that address; a `+tag` in the local part is ignored."""
        address = address.lower()
        local_part, _, domain = address.rpartition("@")
        untagged = f"{local_part.partition('+')[0]}@{domain}"
        return self._by_address.get(address) or self._by_address.get(untagged)

    def authenticate(self, user: str, password: str) -> Account | None:
        """Return the account whose credentials these are."""
        account = self._by_address.get(user.lower())
        if account and compare_digest(account.password.encode(), password.encode()):
            return account
        return None

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self.get(address) is not None

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_address.values())
