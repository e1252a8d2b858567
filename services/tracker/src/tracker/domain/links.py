"""Where a tracked link may lead: only to what the sender of the campaign wrote, over HTTP."""

from urllib.parse import quote, urlsplit

_RESERVED = ":/%#?=@[]!$&'()*+,;~"


def location(url: str) -> str | None:
    """The destination as a Location header carries it, or None if it must not be followed."""
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return quote(url, safe=_RESERVED)
