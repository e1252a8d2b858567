"""Secrets at rest: AES-256-GCM, one data key per secret, wrapped by MASTER_KEY.

The additional data binds a ciphertext to the service, the record and the field it was made for: one
that is moved to another row does not open.
"""

import os
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_KEY_BYTES = 32
_VERSION = "v1"


class BadMasterKey(ValueError):
    """MASTER_KEY is missing or malformed; the text says what to do."""


class CannotOpen(Exception):
    """Unknown key id, another record's ciphertext, or damaged."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The master keys, newest first. The newest seals; all open. Key bytes are never shown."""

    keys: dict[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """From MASTER_KEY: 32 bytes in base64, several separated by commas, newest first."""
        keys: dict[str, bytes] = {}
        for number, part in enumerate(text.split(","), start=1):
            try:
                key = b64decode(part.strip(), validate=True)
            except (Base64Error, ValueError) as error:
                raise BadMasterKey(f"key {number} is not base64") from error
            if len(key) != _KEY_BYTES:
                raise BadMasterKey(
                    f"key {number} has {len(key)} bytes, not 32; make one with: openssl rand -base64 32"
                )
            keys[sha256(b"postfleet key id" + key).hexdigest()[:8]] = key
        return cls(keys)

    @classmethod
    def generate(cls) -> str:
        """A new MASTER_KEY value."""
        return b64encode(os.urandom(_KEY_BYTES)).decode()

    @property
    def newest(self) -> str:
        return next(iter(self.keys))

    def seal(self, plaintext: str, *, service: str, record: str, name: str) -> str:
        """Encrypt for exactly this service, record and field name."""
        data_key = AESGCM.generate_key(bit_length=256)
        wrapped = _encrypt(self.keys[self.newest], data_key, _aad(service, record, name, "key"))
        body = _encrypt(data_key, plaintext.encode(), _aad(service, record, name, "body"))
        return ".".join((_VERSION, self.newest, wrapped, body))

    def open(self, sealed: str, *, service: str, record: str, name: str) -> str:
        """Decrypt; raises CannotOpen."""
        try:
            version, key_id, wrapped, body = sealed.split(".")
            if version != _VERSION:
                raise CannotOpen(f"unknown version {version!r}")
            data_key = _decrypt(self.keys[key_id], wrapped, _aad(service, record, name, "key"))
            return _decrypt(data_key, body, _aad(service, record, name, "body")).decode()
        except KeyError as error:
            raise CannotOpen(f"no master key has the id {error}") from error
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(f"the secret of {record} does not open") from error

    def rewrap(self, sealed: str, *, service: str, record: str, name: str) -> str:
        """The same secret under the newest master key; unchanged if it is already."""
        if sealed.startswith(f"{_VERSION}.{self.newest}."):
            return sealed
        secret = self.open(sealed, service=service, record=record, name=name)
        return self.seal(secret, service=service, record=record, name=name)

    def derive(self, purpose: str) -> dict[str, bytes]:
        """A 32-byte key per master key for another purpose (HKDF, RFC 5869), newest first."""
        return {key_id: _hkdf(key, purpose) for key_id, key in self.keys.items()}


def _hkdf(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"postfleet {purpose}".encode()).derive(key)


def _aad(*parts: str) -> bytes:
    return "\x1f".join(parts).encode()


def _encrypt(key: bytes, plaintext: bytes, aad: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, aad)).decode()


def _decrypt(key: bytes, text: str, aad: bytes) -> bytes:
    raw = urlsafe_b64decode(text)
    return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], aad)
