"""DKIM keys (RFC 6376): RSA with 2048 bits, which every receiver verifies."""

from base64 import b64encode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

_BITS = 2048


@dataclass(frozen=True, slots=True)
class DkimKey:
    """`public` is the record's `p=`: base64 of the SubjectPublicKeyInfo."""

    public: str
    private_pem: str = field(repr=False)  # PKCS #8


def generate() -> DkimKey:
    """A new pair; takes some 100 ms."""
    key = generate_private_key(public_exponent=65537, key_size=_BITS)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return DkimKey(b64encode(public).decode(), private.decode())
