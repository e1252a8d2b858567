"""The tokens in tracking and unsubscribe addresses: what the dispatcher writes and the tracker reads.

A token is keyed (HMAC-SHA256, 128 bits), bound to one purpose, names its key, and holds ids only:
no address, no destination. The one in an address to reply to is shorter (64 bits of key), and in
base32: a local part has 64 octets, and not everybody keeps its case.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from postfleet.secrets import KeyRing

_MAC_BYTES = 16
_REPLY_MAC_BYTES = 8
_DELIVERY_BYTES = 16
_LINK_BYTES = 8
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 §5
_FROM_URL_SAFE = bytes.maketrans(b"-_+/=", b"+/!!!")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: By the characters of the last group: which one may be the last, its spare bits being zero.
_LAST = (_ALPHABET, "", _ALPHABET[::16], _ALPHABET[::4])
_PADDING = (b"", b"", b"==", b"=")
_LEAD_BYTES, _TIME_BYTES = 12, 4


class Purpose(StrEnum):
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRM = (
        "confirm"  # a lead confirms its opt-in: the campaign, then the lead and when it was asked
    )
    REPLY = "reply"  # behind the + of an address to reply to
    DELIVERY = "delivery"  # in a header field of ours
    WARMUP = "warmup"  # in a header field of warm-up mails; a second 01 asks for an answer


class TokenContent(NamedTuple):
    delivery_id: str  # 32 hexadecimal digits
    link_id: str = ""  # hexadecimal: 16 digits for clicks; 24 and 8 for confirmations; or 2


#: Ids of the size that the purpose asks for -> a token. Raises ValueError.
Maker = Callable[[bytes], bytes]


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
        if len(payload) != _SIZES[purpose]:
            raise ValueError(f"a token to {purpose} holds other ids: {delivery_id!r}, {link_id!r}")
        mac = self._keys[purpose][0][1].of(payload)
        if purpose is Purpose.REPLY:
            return b32encode(payload + mac[: _MAC_SIZES[purpose]]).rstrip(b"=").decode().lower()
        return _base64(payload + mac).decode()

    def maker(self, purpose: Purpose) -> "Maker":
        """`make` for whoever makes many: the ids are octets, one behind the other, the token ASCII."""
        if purpose is Purpose.REPLY:
            raise ValueError("a token to reply to is written otherwise")
        name, mac, size = self._newest, self._keys[purpose][0][1].of, _SIZES[purpose]

        def make(ids: bytes) -> bytes:
            payload = name + ids
            if len(payload) != size:
                raise ValueError(f"a token to {purpose} holds other ids: {ids.hex()!r}")
            return _base64(payload + mac(payload))

        return make

    def read(self, purpose: Purpose, token: str) -> TokenContent | None:
        """What the token holds, or None if it is not ours, not for this purpose, or damaged."""
        raw = (_decode_base32 if purpose is Purpose.REPLY else _decode)(token) or b""
        payload, mac = raw[: _SIZES[purpose]], raw[_SIZES[purpose] :]
        keys = self._keys[purpose]
        tried = False
        if len(mac) == _MAC_SIZES[purpose]:
            for name, key in keys:
                if name == raw[:1]:
                    tried = True
                    if hmac.compare_digest(key.of(payload)[: len(mac)], mac):
                        return TokenContent(payload[1:_SPLIT].hex(), payload[_SPLIT:].hex())
        if not tried:
            keys[0][1].of(payload)  # whatever is wrong with a token, the answer takes as long
        return None

    def link_id(self, *parts: object) -> str:
        """The id of a tracked link: a keyed SHA-256 over where it stands and where it leads."""
        text = "\x1f".join(map(str, parts)).encode()
        return hmac.digest(self._links, text, sha256)[:_LINK_BYTES].hex()


_SECOND_BYTES = {
    Purpose.CLICK: _LINK_BYTES,
    Purpose.CONFIRM: _LEAD_BYTES + _TIME_BYTES,
    Purpose.WARMUP: 1,
}


_SPLIT = 1 + _DELIVERY_BYTES
_SIZES = {purpose: _SPLIT + _SECOND_BYTES.get(purpose, 0) for purpose in Purpose}
_MAC_SIZES = dict.fromkeys(Purpose, _MAC_BYTES) | {Purpose.REPLY: _REPLY_MAC_BYTES}


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


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).translate(_URL_SAFE, b"=")


def _decode(token: str) -> bytes | None:
    """Only the one canonical spelling (RFC 4648 §3.5, §5): a token must not have two forms."""
    odd = len(token) % 4  # characters of the last, incomplete group
    if token[-1:] not in _LAST[odd]:
        return None
    try:
        octets = token.encode("ascii").translate(_FROM_URL_SAFE)
        return a2b_base64(octets + _PADDING[odd], strict_mode=True)
    except ValueError:
        return None


def _decode_base32(token: str) -> bytes | None:
    """Upper and lower case are the same: on the way to us somebody may change it."""
    try:
        raw = b32decode(token.upper().encode("ascii") + b"=" * (-len(token) % 8))
    except (Base64Error, ValueError):
        return None
    return raw if b32encode(raw).rstrip(b"=").decode() == token.upper() else None
