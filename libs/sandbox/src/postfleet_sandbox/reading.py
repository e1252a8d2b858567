"""What a recipient sees in a mail: who wrote, what it says, images, links, unsubscribe."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urlsplit

_URL_IN_TEXT = re.compile(r"https?://[^\s<>\"']+")
_URI_IN_HEADER = re.compile(r"<\s*(https?://[^>]+)>", re.IGNORECASE)
_UNSUBSCRIBE = re.compile(r"unsubscrib|opt-?out|abmelden|/u/", re.IGNORECASE)
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as its recipient reads it."""

    header: bytes  # as received
    message_id: str
    references: str
    subject: str
    answer_to: str  # Reply-To, else From: the address alone
    date: str
    text: str
    images: tuple[str, ...]
    links: tuple[str, ...]  # without those that unsubscribe, and those that nobody sees
    hidden_links: tuple[str, ...]
    unsubscribe_links: tuple[str, ...]
    one_click: str  # RFC 8058: where to POST, or ""


def on_loopback(url: str) -> bool:
    """Say whether `url` may be fetched: nothing outside this machine is."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK
    except ValueError:
        return False


def reached_at(url: str, platform: str) -> str:
    """A link to this machine as it is asked for: at `platform`, an origin, if there is one."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{platform}{parts.path}{query}" if platform else url


@lru_cache(maxsize=256)
def read(content: bytes) -> Letter:
    """Parse an accepted mail."""
    message = message_from_bytes(content)
    text, html = _part(message, "text/plain"), _part(message, "text/html")
    page = _Page()
    page.feed(html)
    links = [*page.links, *([] if html else _URL_IN_TEXT.findall(text))]
    one_click = _one_click(message)
    unsubscribe = [url for url in links if url == one_click or _UNSUBSCRIBE.search(url)]
    unsubscribe += [url for url in page.unsubscribe_links if url not in unsubscribe]
    return Letter(
        header=content.partition(b"\r\n\r\n")[0] + b"\r\n",
        message_id=_field(message, "Message-ID"),
        references=_field(message, "References"),
        subject=_field(message, "Subject"),
        answer_to=_address(message),
        date=_field(message, "Date"),
        text=text or page.text,
        images=tuple(dict.fromkeys(page.images)),
        links=tuple(url for url in dict.fromkeys(links) if url not in unsubscribe),
        hidden_links=tuple(dict.fromkeys(page.hidden_links)),
        unsubscribe_links=tuple(dict.fromkeys(unsubscribe)),
        one_click=one_click,
    )


class _Page(HTMLParser):
    """Collects images and links of an HTML part."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []
        self.hidden_links: list[str] = []
        self.unsubscribe_links: list[str] = []
        self._words: list[str] = []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img" and (source := values.get("src")):
            self.images.append(source)
        if tag == "a" and (target := values.get("href")) and target.startswith("http"):
            hidden = "display:none" in (values.get("style") or "").replace(" ", "").lower()
            (self.hidden_links if hidden else self.links).append(target)

    def handle_data(self, data: str) -> None:
        """Collect words; a link whose text says unsubscribe is one, whatever its URL."""
        self._words.append(data)
        if self.links and self.lasttag == "a" and _UNSUBSCRIBE.search(data):
            self.unsubscribe_links.append(self.links[-1])


def _part(message: Message, content_type: str) -> str:
    for part in message.walk():
        if part.get_content_type() == content_type:
            body = part.get_payload(decode=True)
            charset = part.get_content_charset("utf-8")
            try:
                return body.decode(charset, "replace") if isinstance(body, bytes) else ""
            except LookupError:
                return body.decode("latin-1") if isinstance(body, bytes) else ""
    return ""


def _field(message: Message, name: str) -> str:
    value = str(message.get(name, ""))
    return " ".join(str(make_header(decode_header(value))).split())


def _address(message: Message) -> str:
    for name in ("Reply-To", "From"):
        for _, address in getaddresses([str(message.get(name, ""))]):
            if address:
                return address.lower()
    return ""


def _one_click(message: Message) -> str:
    post = str(message.get("List-Unsubscribe-Post", ""))
    if "one-click" not in post.lower():
        return ""
    found = _URI_IN_HEADER.search("".join(str(message.get("List-Unsubscribe", "")).split()))
    return found[1] if found else ""
