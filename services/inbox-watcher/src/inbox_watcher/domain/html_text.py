"""The text of an HTML body, without what a mail client quoted.

A tokenizer of our own, because the standard library's takes a minute for 60,000 unclosed comments:
here every character is looked at once, and nothing raises.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

MAX_HTML = 200_000  # characters
MAX_TAG = 4000  # characters of one tag; a longer one is text

#: Classes and ids of elements whose content is the quoted history, as the clients write them.
_QUOTES = re.compile(
    r"\b(gmail_quote|gmail_extra|moz-cite-prefix|yahoo_quoted|OutlookMessageHeader|zmail_extra|"
    r"protonmail_quote|tutanota_quote|mail-quote|reply-separator)\b"
)
#: Everything below these is history (Outlook on the web).
_ENDS = re.compile(r"\b(divRplyFwdMsg|appendonsend)\b")
_SPACE = re.compile(r"[ \t\r\n\f]+")  # no-break spaces stay
_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9:-]{0,40}")
_MARKS = re.compile(r"""\b(?:class|id)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_SILENT = {"script", "style", "head", "title", "template"}
#: What begins on a line of its own …
_BLOCKS = {"div", "tr", "table", "li", "section", "blockquote", "hr", "article", "header", "footer"}
#: … and what has space around it, unless its style takes that away.
_PARAGRAPHS = {"p", "ul", "ol", "h1", "h2", "h3", "h4", "pre"}
_CELLS = {"td", "th"}
_TIGHT = re.compile(r"MsoNormal|MsoPlainText|\bmargin\s*:\s*0", re.IGNORECASE)
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


def _tokens(html: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("tag", what stands between the angle brackets); comments are left out."""
    position = 0
    while position < len(html):
        opening = html.find("<", position)
        if opening < 0:
            yield "text", html[position:]
            return
        if opening > position:
            yield "text", html[position:opening]
        if html.startswith("<!--", opening):
            end = html.find("-->", opening + 4)
            if end < 0:
                return
            position = end + 3
            continue
        end = html.find(">", opening, opening + MAX_TAG)
        if end < 0 or html[opening + 1 : opening + 2] in ("", " ", "<"):
            yield "text", "<"
            position = opening + 1
            continue
        yield "tag", html[opening + 1 : end]
        position = end + 1


@dataclass(slots=True)
class _Reader:
    lines: list[str] = field(default_factory=list)
    line: str = ""  # as far as it is read
    tight: bool = False  # the paragraph that is open has no space around it
    silenced_by: str = ""  # the element whose content is left out …
    depth: int = 0  # … and how many of its kind are open
    quotes: int = 0  # open blockquotes

    def end_line(self) -> None:
        self.lines.append(self.line)
        self.line = ""

    def _block(self) -> None:
        """What follows begins a line; a no-break space is a line too, as mail clients use it."""
        if self.line.strip(" "):
            self.end_line()
        self.line = ""

    def _paragraph(self, text: str, closing: bool) -> None:
        self._block()
        if not closing:
            self.tight = bool(_TIGHT.search(text))
        if not self.tight and self.lines and self.lines[-1].strip():
            self.lines.append("")

    def tag(self, text: str) -> bool:
        """Read a tag; False where all that follows is history."""
        found = _NAME.match(text)
        if found is None:
            return True
        name = found[0].lower()
        closing, name = name.startswith("/"), name.lstrip("/")
        if self.silenced_by:
            if name == self.silenced_by and not text.endswith("/"):
                self.depth += -1 if closing else 1
                self.silenced_by = name if self.depth else ""
            return True
        if name == "br":
            self.end_line()
        elif name in _BLOCKS:
            self._block()
        elif name in _CELLS:
            self.line += " "
        elif name in _PARAGRAPHS:
            self._paragraph(text, closing)
        if name == "blockquote":
            self.quotes = max(0, self.quotes + (-1 if closing else 1))
        return closing or self._opened(name, text)

    def _opened(self, name: str, text: str) -> bool:
        marks = " ".join(_MARKS.findall(text))
        if _ENDS.search(marks):
            return False
        if name in _SILENT or (name not in _VOID and _QUOTES.search(marks)):
            self.silenced_by, self.depth = name, 1
        return True

    def text(self, text: str) -> None:
        if self.silenced_by:
            return
        words = _SPACE.sub(" ", unescape(text))
        if self.quotes and words.strip():
            self._block()
            words = "> " + words.strip()
        self.line += words


def text_of_html(html: str) -> str:
    """The visible text, a line for each block; blockquotes as lines that begin with `>`."""
    reader = _Reader()
    for kind, token in _tokens(html[:MAX_HTML]):
        if kind == "text":
            reader.text(token)
        elif not reader.tag(token):
            break
    reader.end_line()
    lines = [line.replace("\xa0", " ").strip() for line in reader.lines]
    return re.sub(r"\n\n\n+", "\n\n", "\n".join(lines)).strip()
