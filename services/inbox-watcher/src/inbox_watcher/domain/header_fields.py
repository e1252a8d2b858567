"""Header fields of a mail or of a report: unfolded, decoded, bounded (RFC 5322 §2.2, RFC 2047)."""

import binascii
import codecs
import quopri
import re
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_tz
from functools import cached_property

MAX_HEADER_BYTES = 100_000
MAX_FIELDS = 1000
MAX_VALUE = 8000  # characters of one unfolded field; the rest is ignored
MAX_ENCODED_WORDS = 100
MAX_REFERENCES = 50

_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([BbQq])\?([^?\s]{0,4000})\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_FIELD_NAME = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_ANGLE = re.compile(r"<([^<>@\s]{1,200}@[^<>@\s]{1,255})>")
_BARE = re.compile(
    "[^\\s<>@,;:\"'()\\[\\]\uff1a\uff0c\u3000]{1,200}@[^\\s<>@,;:\"'()\\[\\]\uff0c\u3002]{1,255}"
)
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
#: Codecs that are no charsets, or whose cost grows with the square of the input.
_NO_CHARSET = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"}


@dataclass(frozen=True)
class Fields:
    """The fields in their order; names in lower case, values unfolded but not yet RFC 2047-decoded."""

    items: tuple[tuple[str, str], ...]

    @cached_property
    def _first(self) -> dict[str, str]:
        return dict(reversed(self.items))

    def get(self, name: str) -> str:
        """The first field of this name, or ""."""
        return self._first.get(name, "")

    def __contains__(self, name: object) -> bool:
        return name in self._first

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.items if other == name]

    def text(self, name: str) -> str:
        """The first field of this name with its encoded words decoded."""
        return decode_words(self.get(name))

    @property
    def null_reverse_path(self) -> bool:
        """The mail was sent so that nothing answers it (RFC 5321 §4.5.5), as far as it was kept."""
        return self.get("return-path").replace(" ", "") == "<>"


def parse_fields(block: bytes) -> Fields:
    """Read a header block with LF line ends; a line that is no field ends it."""
    items: list[tuple[str, bytearray]] = []
    for line in block[:MAX_HEADER_BYTES].split(b"\n"):
        if line[:1] in (b" ", b"\t") and items:
            if len(items[-1][1]) < MAX_VALUE:
                items[-1][1].extend(b" " + line.strip())
            continue
        found = _FIELD_NAME.match(line)
        if found is None or len(items) >= MAX_FIELDS:
            if line.strip() and not line.startswith((b"From ", b">From ")):
                break
            continue
        name = line[: found.end() - 1].decode("ascii").strip().lower()
        items.append((name, bytearray(line[found.end() :].strip())))
    return Fields(tuple((name, decode_octets(bytes(value))[:MAX_VALUE]) for name, value in items))


def decode_octets(octets: bytes, charset: str = "utf-8") -> str:
    """Text in a charset that may be wrong or unknown: never raises."""
    for name in (charset, "utf-8"):
        try:
            codec = codecs.lookup(name)
        except (LookupError, ValueError):
            continue
        if codec.name in _NO_CHARSET or not getattr(codec, "_is_text_encoding", False):
            continue
        try:
            return octets.decode(name)
        except (UnicodeError, ValueError):
            continue
    return octets.decode("latin-1")


def decode_words(value: str) -> str:
    """Decode RFC 2047 encoded words, at most MAX_ENCODED_WORDS of them."""
    if "=?" not in value:
        return value
    return _ENCODED_WORD.sub(
        _decoded_word, _BETWEEN_WORDS.sub(r"\1", value), count=MAX_ENCODED_WORDS
    )


def _decoded_word(found: re.Match[str]) -> str:
    charset, encoding, text = found.groups()
    octets = text.encode("ascii", "replace")
    try:
        if encoding in "Bb":
            octets = binascii.a2b_base64(octets + b"=" * (-len(octets) % 4))
        else:
            octets = quopri.decodestring(octets.replace(b"_", b" "))
    except (binascii.Error, ValueError):
        return found[0]
    return decode_octets(octets, charset.partition("*")[0])


def address_of(value: str) -> str:
    """The (first) address of an address field in lower case, or ""."""
    found = _ANGLE.search(value)
    if found:
        return found[1].strip("\"'").lower()
    bare = _BARE.search(value)
    return bare[0].rstrip(".").lower() if bare else ""


def addresses_of(value: str) -> list[str]:
    """Every address in a field or in free text, in order, in lower case, each once."""
    found = (address.rstrip(".").lower() for address in _BARE.findall(value))
    return list(dict.fromkeys(found))


def message_ids_of(value: str) -> list[str]:
    """The message ids of a field without their angle brackets, at most MAX_REFERENCES."""
    found = _MESSAGE_ID.findall(value)
    if not found and "@" in value and " " not in value.strip():
        found = [value.strip()]  # some clients leave the brackets out
    return list(dict.fromkeys(found))[-MAX_REFERENCES:]


def sent_on(fields: Fields) -> date | None:
    """The day of the Date field, as its author saw it; None where that cannot be read."""
    try:
        parsed = parsedate_tz(fields.get("date")[:100])
        return date(*parsed[:3]) if parsed else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
