"""Sealing what a sender logs in with: each secret bound to its sender and its name."""

from collections.abc import Mapping
from dataclasses import dataclass

from postfleet.secrets import CannotOpen, KeyRing

SERVICE = "sender-registry"

#: what is stored under which key of `secrets` -> the name it is sealed for.
#: A token lies where a password would, so that whoever connects needs not know which it is.
NAMES = {"smtp": "smtp_password", "imap": "imap_password", "refresh": "refresh_token"}


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens and seals the secrets of senders."""

    ring: KeyRing

    def seal(self, sender_id: str, plain: Mapping[str, str]) -> dict[str, str]:
        return {
            key: self.ring.seal(text, service=SERVICE, record=sender_id, name=NAMES[key])
            for key, text in plain.items()
        }

    def open(self, sender_id: str, sealed: Mapping[str, str]) -> dict[str, str]:
        """Raises CannotOpen for a secret that was sealed for another sender or name."""
        return {
            key: self.ring.open(text, service=SERVICE, record=sender_id, name=NAMES[key])
            for key, text in sealed.items()
        }

    def readable(self, sender_id: str, sealed: Mapping[str, str]) -> dict[str, str]:
        """As `open`, without what does not open: for whoever is about to replace it."""
        try:
            return self.open(sender_id, sealed)
        except CannotOpen:
            return {}

    def rewrapped(self, sender_id: str, sealed: Mapping[str, str]) -> dict[str, str]:
        """The same secrets under the newest master key."""
        return {
            key: self.ring.rewrap(text, service=SERVICE, record=sender_id, name=NAMES[key])
            for key, text in sealed.items()
        }
