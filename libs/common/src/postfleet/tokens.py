"""The tokens in tracking and unsubscribe addresses: what the dispatcher writes and the tracker reads.

A token is keyed (HMAC-SHA256, 128 bits), bound to one purpose, names its key, and holds ids only:
no address, no destination. The one in an address to reply to is shorter (64 bits of key), and in
base32: a local part has 64 octets, and not everybody keeps its case.
"""

import hmac
from base64 import b32decode, b32encode, urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from postfleet.secrets import KeyRing

_MAC_BYTES = 16
_REPLY_MAC_BYTES = 8
_DELIVERY_BYTES = 16
_LINK_BYTES = 8
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 §5
_LEAD_BYTES = 12


class Purpose(StrEnum):
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRM = "confirm"  # a lead confirms its opt-in: the campaign, then the lead
    REPLY = "reply"  # behind the + of an address to reply to
    DELIVERY = "delivery"  # in a header field of ours
    WARMUP = "warmup"  # in a header field of warm-up mails; a second 01 asks for an answer


@dataclass(frozen=True, slots=True)
class TokenContent:
    delivery_id: str  # 32 hexadecimal digits
    link_id: str = ""  # 16 hexadecimal digits, for clicks; 24, a lead, for confirmations; or 2


class TokenKeys:
    """Makes and reads tokens with keys derived from MASTER_KEY; any key still in the ring reads."""

    def __init__(self, ring: KeyRing) -> None:
        # A byte names the key; two keys may share one, so there may be several to try.
        self._keys = {
            purpose: [
                (bytes.fromhex(kid)[:1], _Mac(key))
                for kid, key in ring.derive(f"token {purpose}").items()
            ]
            for purpose in Purpose
        }
        self._newest = bytes.fromhex(ring.newest)[:1]
        self._links = next(iter(ring.derive("link id").values()))

    def make(self, purpose: Purpose, delivery_id: str, link_id: str = "") -> str:
        payload = self._newest + bytes.fromhex(delivery_id) + bytes.fromhex(link_id)
        if len(payload) != _size(purpose):
            raise ValueError(f"a token to {purpose} holds other ids: {delivery_id!r}, {link_id!r}")
        mac = self._keys[purpose][0][1].of(payload)
        if purpose is Purpose.REPLY:
            return b32encode(payload + mac[:_REPLY_MAC_BYTES]).rstrip(b"=").decode().lower()
        return _base64(payload + mac)

    def read(self, purpose: Purpose, token: str) -> TokenContent | None:
        """What the token holds, or None if it is not ours, not for this purpose, or damaged."""
        size = _size(purpose)
        mac_size = _REPLY_MAC_BYTES if purpose is Purpose.REPLY else _MAC_BYTES
        raw = _decode_base32(token) if purpose is Purpose.REPLY else _decode(token)
        if raw is None or len(raw) != size + mac_size:
            return None
        payload, mac = raw[:size], raw[size:]
        keys = [key for name, key in self._keys[purpose] if name == payload[:1]]
        if not any(hmac.compare_digest(key.of(payload)[:mac_size], mac) for key in keys):
            return None
        split = 1 + _DELIVERY_BYTES
        return TokenContent(payload[1:split].hex(), payload[split:].hex())

    def link_id(self, *parts: object) -> str:
        """The id of a tracked link: a keyed SHA-256 over where it stands and where it leads."""
        text = "\x1f".join(map(str, parts)).encode()
        return hmac.digest(self._links, text, sha256)[:_LINK_BYTES].hex()


_SECOND_BYTES = {Purpose.CLICK: _LINK_BYTES, Purpose.CONFIRM: _LEAD_BYTES, Purpose.WARMUP: 1}


def _size(purpose: Purpose) -> int:
    return 1 + _DELIVERY_BYTES + _SECOND_BYTES.get(purpose, 0)


class _Mac:
    """HMAC-SHA256, cut to 128 bits. The key's two blocks are hashed once (RFC 2104 §4): a campaign's
    mail holds several tokens, and hashing the key is most of the work for a short one."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= 64 else sha256(key).digest()).ljust(64, b"\0")
        self._inner = sha256(bytes(octet ^ 0x36 for octet in block))
        self._outer = sha256(bytes(octet ^ 0x5C for octet in block))

    def of(self, payload: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(payload)
        outer.update(inner.digest())
        return outer.digest()[:_MAC_BYTES]


def _base64(octets: bytes) -> str:
    return b2a_base64(octets, newline=False).translate(_URL_SAFE, b"=").decode()


def _decode(token: str) -> bytes | None:
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (Base64Error, ValueError):
        return None
    # Only the one canonical spelling: a token must not have two forms.
    return raw if _base64(raw) == token else None


def _decode_base32(token: str) -> bytes | None:
    """Upper and lower case are the same: on the way to us somebody may change it."""
    try:
        raw = b32decode(token.upper().encode("ascii") + b"=" * (-len(token) % 8))
    except (Base64Error, ValueError):
        return None
    return raw if b32encode(raw).rstrip(b"=").decode() == token.upper() else None
