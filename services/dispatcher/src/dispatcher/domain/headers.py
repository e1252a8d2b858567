"""Header fields: each value in the form that RFC 5322 and RFC 2047 allow, never with a line end in it."""

import functools
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from postfleet.addresses import check_text

_WORD_OCTETS = 45  # of text in one encoded word: 60 of base64, below the 75 of RFC 2047 §2
_LONGEST_PLAIN = 900  # a line may have 998 octets, with the field's name


class CannotFill(ValueError):
    """This lead's data does not fit the template; the text names the field or the reason."""


@dataclass(frozen=True, slots=True)
class Author:
    """`plus`: mail to local+anything@domain reaches the same mailbox (RFC 5233)."""

    address: str
    display_name: str = ""
    plus: bool = False


def text_field(name: str, value: str) -> str:
    """`name: value`, encoded only where it must be. Raises CannotFill."""
    if value.isascii() and value.isprintable() and len(value) < _LONGEST_PLAIN:
        if "=?" not in value:  # RFC 2047 §2: it would be read as an encoded word
            return f"{name}: {value}"
    else:
        checked(name, value)
    return f"{name}: {encoded_words(value)}"


def checked(name: str, value: str, max_octets: int = 998) -> str:
    """The value, if it has no control character of any kind. Raises CannotFill."""
    try:
        return check_text(value, max_octets=max_octets)
    except ValueError as error:
        raise CannotFill(f"{name}: {error}") from error


def encoded_words(value: str) -> str:
    """RFC 2047 §5: words of whole characters, each on a line of its own."""
    words = (b2a_base64(chunk, newline=False).decode() for chunk in _chunks(value))
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in words)


def _chunks(value: str) -> Iterator[bytes]:
    chunk = b""
    for character in value:
        octets = character.encode()
        if len(chunk) + len(octets) > _WORD_OCTETS:
            yield chunk
            chunk = b""
        chunk += octets
    yield chunk


@functools.lru_cache(maxsize=10_000)
def mailbox(author: Author) -> str:
    """The value of a From field. Raises CannotFill."""
    name = author.display_name
    if not name:
        return f"<{author.address}>"
    checked("display_name", name, 256)
    if name.isascii() and "=?" not in name:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{author.address}>'
    return f"{encoded_words(name)} <{author.address}>"


def recipient(address: str) -> str:
    """The value of a To field. Raises CannotFill."""
    if address.isascii() and address.isprintable() and len(address) <= 320:
        return address
    return checked("To", address, 320)


def date(moment: datetime) -> str:
    """The value of a Date field; in a second many mails have the same."""
    return _date(moment.replace(microsecond=0) if moment.microsecond else moment)


@functools.lru_cache(maxsize=16)
def _date(second: datetime) -> str:
    return format_datetime(second)


def reply_subject(first: str) -> str:
    """The subject of what goes on with a thread; "" where the first mail's is not known."""
    answers = first[:3].lower() == "re:"
    return first if answers or not first else f"Re: {first}"


def references(thread: Sequence[str]) -> str:
    """The fields by which a mail goes on with a thread (RFC 5322 §3.6.4), each with its line end."""
    if not thread:
        return ""
    return f"In-Reply-To: {thread[-1]}\r\nReferences: " + "\r\n ".join(thread) + "\r\n"
