"""The text of an HTML body, without what a mail client quoted (bounded, and never raises)."""

import re
from html.parser import HTMLParser

MAX_HTML = 200_000  # characters

#: Elements whose content is the quoted history, by class or id, as the clients write them.
_QUOTES = re.compile(
    r"\b(gmail_quote|gmail_extra|moz-cite-prefix|yahoo_quoted|divRplyFwdMsg|appendonsend|"
    r"protonmail_quote|zmail_extra|OutlookMessageHeader|mail-quote|tutanota_quote|reply-separator)\b"
)
_SILENT = {"script", "style", "head", "title", "template"}
_BLOCKS = {"p", "div", "tr", "table", "ul", "ol", "li", "h1", "h2", "h3", "h4", "pre", "section"}
_VOID = {
    "br",
    "img",
    "hr",
    "input",
    "meta",
    "link",
    "area",
    "base",
    "col",
    "embed",
    "source",
    "wbr",
}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.ended = False  # all that follows is history
        self._skipping: list[str] = []  # open elements since the first that is skipped
        self._quote_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            if tag not in _VOID:
                self._skipping.append(tag)
            return
        marks = " ".join(value or "" for name, value in attrs if name in ("class", "id"))
        if tag in ("br", "hr") or tag in _BLOCKS:
            self.lines.append("\n")
        if "divRplyFwdMsg" in marks or "appendonsend" in marks:
            self.ended = True
        elif tag in _SILENT or (tag not in _VOID and _QUOTES.search(marks)):
            self._skipping = [tag]
        elif tag == "blockquote":
            self._quote_depth += 1
            self.lines.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag in self._skipping:
                while self._skipping and self._skipping.pop() != tag:
                    pass
            return
        if tag == "blockquote" and self._quote_depth:
            self._quote_depth -= 1
            self.lines.append("\n")
        elif tag in _BLOCKS:
            self.lines.append("\n")

    def handle_data(self, data: str) -> None:
        if self._skipping or self.ended:
            return
        text = re.sub(r"\s+", " ", data)
        if self._quote_depth and text.strip():
            text = "\n> " + text.strip()
        self.lines.append(text)


def text_of_html(html: str) -> str:
    """The visible text, a line for each block; blockquotes as lines that begin with `>`."""
    reader = _Reader()
    try:
        reader.feed(html[:MAX_HTML])
        reader.close()
    except (AssertionError, ValueError, RecursionError):
        return re.sub(r"<[^<>]{0,1000}>", " ", html[:MAX_HTML]).strip()
    text = "".join(reader.lines).replace("\xa0", " ")
    lines = [line.strip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
