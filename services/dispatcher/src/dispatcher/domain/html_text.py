"""The plain text of an HTML body that came without one: the same words, places and choices."""

import re

from dispatcher.domain.spintax import liquid_spans

#: Liquid is taken out before HTML is read, and put back: letters of the private use area.
_HIDDEN = re.compile("\ue000(\\d+)\ue001")
_LINK = re.compile(r"\[([^\[\]\n]{0,500})\]\(([^()\s]{1,2000})\)")


def text_of(html: str) -> str:
    """Never raises; links stand behind their words in brackets."""
    # Here, not above: lxml is 10 MB that a dispatcher without such a body need not carry.
    from inscriptis import get_text  # type: ignore[import-untyped]
    from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]

    hidden: list[str] = []
    pieces, done = [], 0
    for start, end in liquid_spans(html):
        pieces += [html[done:start], f"\ue000{len(hidden)}\ue001"]
        hidden.append(html[start:end])
        done = end
    text = get_text("".join([*pieces, html[done:]]), ParserConfig(display_links=True))
    text = _LINK.sub(_link, text)
    text = _HIDDEN.sub(lambda found: _back(found, hidden), text)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(str.rstrip, text.split("\n")))).strip()


def _link(found: re.Match[str]) -> str:
    words, address = found[1].strip(), found[2].removeprefix("mailto:")
    if address.startswith("#"):
        return words
    return address if words in ("", address) else f"{words} ({address})"


def _back(found: re.Match[str], hidden: list[str]) -> str:
    number = int(found[1]) if len(found[1]) < 7 else len(hidden)
    return hidden[number] if number < len(hidden) else ""
