"""What a campaign's mail says at its end: who sends it from where, and how to hear no more of it."""

import re
from collections.abc import Sequence
from html import escape

from dispatcher.domain.spintax import Node, Words

#: The field that holds the token of a delivery's own unsubscribe address.
UNSUBSCRIBE = "__unsubscribe"
_BODY_END = re.compile("</body>", re.IGNORECASE)
_HTML_FOOTER = (
    '<hr><p style="font-size:12px;color:#666">{address}<br><a href="{optout}">Unsubscribe</a></p>'
)
_PIXEL = '<img src="{pixel}" width="1" height="1" alt="" style="display:none">'
#: Nobody sees it and no reader reads it out: who follows it follows every link.
_CANARY = (
    '<a href="{canary}" style="display:none" aria-hidden="true" tabindex="-1" rel="nofollow"></a>'
)


def text_with_footer(
    nodes: Sequence[Node], address: str, optout: Sequence[Node]
) -> tuple[Node, ...]:
    return (*nodes, Words(f"\n\n-- \n{address}\nUnsubscribe: "), *optout)


def html_with_footer(html: str, address: str, optout: str) -> str:
    # The operator's address is text, not a template.
    words = escape(address).replace("{", "&#123;").replace("}", "&#125;").replace("|", "&#124;")
    lines = words.replace("\n", "<br>")
    return before_body_end(html, _HTML_FOOTER.format(address=lines, optout=optout))


def with_hidden(html: str, pixel: str, canary: str) -> str:
    """With a pixel and a canary link, unless their addresses are ""."""
    added = _CANARY.format(canary=canary) if canary else ""
    added += _PIXEL.format(pixel=pixel) if pixel else ""
    return before_body_end(html, added) if added else html


def before_body_end(html: str, addition: str) -> str:
    # Not by html.lower(): that changes the length of some letters (the Turkish dotted I).
    ends = [match.start() for match in _BODY_END.finditer(html)] or [len(html)]
    return html[: ends[-1]] + addition + html[ends[-1] :]
