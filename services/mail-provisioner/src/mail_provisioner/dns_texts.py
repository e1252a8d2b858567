"""Values of records as DNS providers write them, and as we compare them."""

from typing import Any

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT


def text_of(value: Any) -> str:
    """A value as we write it: whole texts for TXT, `10 mail.one.test` for MX."""
    if hasattr(value, "exchange"):
        return f"{value.preference} {value.exchange.rstrip('.')}"
    raw = str(value)
    if not raw.startswith('"'):
        return raw.replace("\\;", ";")
    try:
        data = dns.rdata.from_text("IN", "TXT", raw)
    except dns.exception.DNSException:
        return raw
    return b"".join(data.strings).decode("utf-8", "replace") if isinstance(data, TXT) else raw


def txt(text: str) -> TXT:
    octets = text.encode()
    parts = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts)
