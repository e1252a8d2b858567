"""Where a tracked link may lead: only to what the sender of the campaign wrote, over HTTP."""

from collections.abc import Mapping
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


def canary_destination(links: Mapping[str, str], home: str) -> str:
    """Where a hidden link leads: to the front page of a site that the campaign links to anyway.

    So a machine sees nothing unusual, and nobody is led where the campaign would not lead. A campaign
    without links of its own leads to `home`.
    """
    for _, url in sorted(links.items()):
        if location(url) is not None:
            parts = urlsplit(url)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    return home
