"""Addresses as RFC 5321 allows them: accept what is valid, refuse what is not, repair nothing.

Address literals (`[192.0.2.1]`) and host names of one label are refused: mail to them is a mistake.
"""

import re
import unicodedata

import idna

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\U0010FFFF]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(r'"(?:[\x20\x21\x23-\x5B\x5D-\x7E\u0080-\U0010FFFF]|\\[\x20-\x7E])*"')
_LABEL = re.compile(
    r"[A-Za-z0-9\u0080-\U0010FFFF](?:[A-Za-z0-9\-\u0080-\U0010FFFF]*[A-Za-z0-9\u0080-\U0010FFFF])?"
)
_MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
_MAX_DOMAIN_OCTETS = 255
_MAX_PATH_OCTETS = 254  # RFC 5321 §4.5.3.1.3: 256 with the angle brackets
_CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


_TURNS = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}  # U+202A-E, U+2066-9


class InvalidAddress(ValueError):
    """The text names the rule that is broken."""


def split_address(address: str) -> tuple[str, str]:
    """(local part, domain) of a valid Mailbox (RFC 5321 §4.1.2, with RFC 6531). Raises InvalidAddress."""
    if not (address.isascii() and address.isprintable()):
        _check_characters(address)
    local, at, domain = address.rpartition("@")
    if not at:
        raise InvalidAddress("there is no @")
    if not (_DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local)):
        raise InvalidAddress("the part before the @ is not valid")
    if len(local.encode()) > _MAX_LOCAL_OCTETS:
        raise InvalidAddress("the part before the @ has more than 64 octets")
    check_domain(domain)
    if len(address.encode()) > _MAX_PATH_OCTETS:
        raise InvalidAddress("the address has more than 254 octets")
    return local, domain


def _check_characters(address: str) -> None:
    if any(unicodedata.category(c) in _CONTROL for c in address):
        raise InvalidAddress("a control character is not allowed")
    if any(unicodedata.category(c) == "Zs" and c != " " for c in address):
        raise InvalidAddress("a space that is none of ASCII is not allowed")  # a slip when pasting


def check_domain(domain: str) -> str:
    """The domain, if it is a valid host name of at least two labels. Raises InvalidAddress.

    IDNA 2008 (RFC 5891): the version of 2003 would make another domain of `faß.de`.
    """
    try:
        encoded = domain.encode("ascii") if domain.isascii() else idna.encode(domain.lower())
    except UnicodeError as error:
        raise InvalidAddress(f"the domain {domain!r} is not valid") from error
    labels = domain.split(".")
    if len(labels) < 2 or len(encoded) > _MAX_DOMAIN_OCTETS:
        raise InvalidAddress(f"the domain {domain!r} is not a full host name")
    # The encoded form too: IDNA maps some characters to ".", "@", ">" or a space.
    ascii_labels = encoded.decode("ascii").split(".")
    if len(labels) != len(ascii_labels) or not all(
        _LABEL.fullmatch(label) and _LABEL.fullmatch(octets) and len(octets) <= 63
        for label, octets in zip(labels, ascii_labels, strict=True)
    ):
        raise InvalidAddress(f"the domain {domain!r} is not valid")
    if ascii_labels[-1].isdigit():
        raise InvalidAddress(f"the domain {domain!r} ends in a number")
    return domain


def canonical(address: str) -> str:
    """The form under which we compare addresses: everything in lower case, domain in ASCII."""
    local, domain = split_address(address)
    ascii_domain = domain if domain.isascii() else idna.encode(domain.lower()).decode()
    return f"{unicodedata.normalize('NFC', local.lower())}@{ascii_domain.lower()}"


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def check_text(value: str, *, max_octets: int = 998) -> str:
    """A header's text: no control character of any kind, and no longer than a line may be.

    Raises ValueError with the code point that is refused.
    """
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(f"the control character U+{ord(character):04X} is not allowed")
    if len(value.encode()) > max_octets:
        raise ValueError(f"longer than {max_octets} octets")
    return value


def check_name(value: str, *, max_octets: int = 998) -> str:
    """As `check_text`; and nothing that turns the direction of what stands beside it, which would
    show a name, or the address after it, as another. Raises ValueError."""
    for character in value:
        if unicodedata.bidirectional(character) in _TURNS:
            message = f"the direction control U+{ord(character):04X} is not allowed"
            raise ValueError(message)
    return check_text(value, max_octets=max_octets)
