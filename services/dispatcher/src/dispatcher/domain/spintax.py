"""The grammar of a text: words, Liquid, and choices such as `{Hi|Hello {there|friend}}`.

Liquid's own braces come first: `{{ … }}`, `{% … %}`, raw and comment blocks are never choices. Braces
without a bar are just braces; `\\{`, `\\|` and `\\}` are always the characters. In HTML, comments,
styles and scripts are left alone. One pass, whatever is in the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

MAX_DEPTH = 20  # of choices inside choices
MAX_CHOICES = 1000  # of a text
_MARK = re.compile(r"\\[{|}]|\{\{(?![{%])|\{%|[{|}]")
_HTML_MARK = re.compile(r"\\[{|}]|\{\{(?![{%])|\{%|[{|}]|<!--|<(?:style|script)\b", re.IGNORECASE)
_BLOCK = re.compile(r"\{%-?\s*(raw|comment)\s*-?%\}")
_BLOCK_ENDS = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "comment")}
_ELEMENT_ENDS = {
    "<!--": re.compile("-->"),
    "<style": re.compile(r"</style\s*>", re.IGNORECASE),
    "<script": re.compile(r"</script\s*>", re.IGNORECASE),
}


class BadTemplate(ValueError):
    """The text says where and why."""


@dataclass(frozen=True, slots=True)
class Words:
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """`{{ expression }}`, braces included."""

    source: str


@dataclass(frozen=True, slots=True)
class Tag:
    """`{% … %}`, or a whole raw or comment block."""

    source: str


@dataclass(frozen=True, slots=True)
class Choice:
    """`number` counts the choices of a text; the same number draws the same in every part."""

    number: int
    options: tuple[tuple["Node", ...], ...]


Node = Words | Output | Tag | Choice


def chosen(seed: str, number: int, options: int) -> int:
    """Which option a delivery gets: the same at every attempt."""
    digest = sha256(f"spin\x1f{seed}\x1f{number}".encode()).digest()
    return int.from_bytes(digest[:8]) * options >> 64


@dataclass(slots=True)
class _Open:
    """A brace that is not closed yet; the outermost one is the text itself."""

    options: list[list[Node]] = field(default_factory=lambda: [[]])
    words: list[str] = field(default_factory=list)  # not yet in the last option

    def add(self, node: Node) -> None:
        if isinstance(node, Words):
            self.words.append(node.text)
        else:
            self.flush()
            self.options[-1].append(node)

    def flush(self) -> None:
        text = "".join(self.words)
        self.words.clear()
        if text:
            self.options[-1].append(Words(text))

    def next_option(self) -> None:
        self.flush()
        self.options.append([])


def parse(source: str, *, html: bool = False) -> tuple[Node, ...]:
    """Raises BadTemplate for what is never closed, and for too many or too deep choices."""
    stack, choices = [_Open()], 0
    for kind, text in _marks(source, html=html):
        if kind == "{":
            if len(stack) > MAX_DEPTH:
                raise BadTemplate(f"braces are nested more than {MAX_DEPTH} deep")
            stack.append(_Open())
        elif kind == "|" and len(stack) > 1:
            stack[-1].next_option()
        elif kind == "}" and len(stack) > 1:
            closed = stack.pop()
            closed.flush()
            if len(closed.options) == 1:  # no choice, just braces
                for node in (Words("{"), *closed.options[0], Words("}")):
                    stack[-1].add(node)
            else:
                stack[-1].add(Choice(choices, tuple(map(tuple, closed.options))))
                choices += 1
                if choices > MAX_CHOICES:
                    raise BadTemplate(f"more than {MAX_CHOICES} choices")
        else:
            stack[-1].add(_node(kind, text))
    return _unclosed(stack)


def _node(kind: str, text: str) -> Node:
    if kind == "output":
        return Output(text)
    return Tag(text) if kind == "tag" else Words(text)


def _unclosed(stack: list[_Open]) -> tuple[Node, ...]:
    while len(stack) > 1:
        left = stack.pop()
        left.flush()
        if len(left.options) > 1:
            raise BadTemplate("a choice is not closed; end it by }, or write \\{ for the character")
        for node in (Words("{"), *left.options[0]):
            stack[-1].add(node)
    stack[0].flush()
    return tuple(stack[0].options[0])


def _marks(source: str, *, html: bool) -> Iterator[tuple[str, str]]:
    """(kind, text): `{`, `|`, `}` as themselves, else words, output or tag."""
    pattern = _HTML_MARK if html else _MARK
    position = 0
    while found := pattern.search(source, position):
        if found.start() > position:
            yield "words", source[position : found.start()]
        mark = found[0].lower()
        if mark.startswith("\\"):
            yield "words", mark[1]
            position = found.end()
        elif mark in ("{{", "{%"):
            kind, position = _liquid(source, found.start())
            yield kind, source[found.start() : position]
        elif mark.startswith("<"):
            end = _ELEMENT_ENDS[mark].search(source, found.end())
            position = end.end() if end else len(source)
            yield from _liquid_only(source[found.start() : position])
        else:
            yield mark, mark
            position = found.end()
    if position < len(source):
        yield "words", source[position:]


def _liquid(source: str, start: int) -> tuple[str, int]:
    """(kind, where it ends)."""
    if source.startswith("{{", start):
        return "output", _end(source, "}}", start)
    block = _BLOCK.match(source, start)
    if block is None:
        return "tag", _end(source, "%}", start)
    end = _BLOCK_ENDS[block[1]].search(source, block.end())
    if end is None:
        raise BadTemplate(f"{block[0]} is not closed")
    return "tag", end.end()


def _end(source: str, closing: str, start: int) -> int:
    end = source.find(closing, start)
    if end < 0:
        raise BadTemplate(f"{source[start : start + 40]!r} is not closed by {closing}")
    return end + 2


def liquid_spans(source: str) -> Iterator[tuple[int, int]]:
    """Where Liquid stands; nothing from the first place on that is not closed."""
    position = 0
    for found in re.finditer(r"\{\{(?![{%])|\{%", source):
        if found.start() < position:
            continue
        try:
            _, position = _liquid(source, found.start())
        except BadTemplate:
            return
        yield found.start(), position


def _liquid_only(source: str) -> Iterator[tuple[str, str]]:
    """Styles, scripts and comments: their braces are their own, Liquid is still Liquid."""
    position = 0
    for start, end in liquid_spans(source):
        yield "words", source[position:start]
        yield _liquid(source, start)[0], source[start:end]
        position = end
    yield "words", source[position:]
