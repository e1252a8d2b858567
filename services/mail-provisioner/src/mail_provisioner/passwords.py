"""The passwords of our mailboxes: made here, hashed for the mail server, sealed for the registry."""

import secrets
import string

from mail_provisioner.domain.addresses import Address
from mail_provisioner.domain.relays import Relay
from mail_provisioner.domain.sha512_crypt import sha512_crypt
from mail_provisioner.settings import SERVICE
from postfleet.secrets import KeyRing

FIELD = "password"
_RELAY_FIELD = "relay password"
_RANDOM_BYTES = 24  # 192 bits
_SALT_CHARACTERS = string.ascii_letters + string.digits


def new_password() -> str:
    return secrets.token_urlsafe(_RANDOM_BYTES)


def hashed(password: str) -> str:
    """As postfix-accounts.cf has it, with a fresh salt."""
    salt = "".join(secrets.choice(_SALT_CHARACTERS) for _ in range(16))
    return "{SHA512-CRYPT}" + sha512_crypt(password, salt)


def sealed(ring: KeyRing, address: str, password: str) -> str:
    return ring.seal(password, service=SERVICE, record=address, name=FIELD)


def open_password(ring: KeyRing, address: Address) -> str:
    """Raises CannotOpen."""
    return ring.open(address.sealed_password, service=SERVICE, record=address.address, name=FIELD)


def sealed_relay_password(ring: KeyRing, domain: str, password: str) -> str:
    return ring.seal(password, service=SERVICE, record=domain, name=_RELAY_FIELD)


def open_relay_password(ring: KeyRing, relay: Relay) -> str:
    """Raises CannotOpen."""
    return ring.open(relay.sealed_password, service=SERVICE, record=relay.domain, name=_RELAY_FIELD)
