"""The links of a body: found once per text, replaced by places that a delivery's addresses fill.

One pass over the text, whatever is in it: the standard library's parser and most regular
expressions need minutes for a text of unclosed tags.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from urllib.parse import SplitResult, urlsplit

from dispatcher.domain.spintax import BadTemplate, Choice, Node, Output, Words, liquid_spans, parse

#: Filters of ours, which are put behind the outputs that stand in addresses.
URL_FILTER, DESTINATION_FILTER = "__url", "__destination"

_TEXT_LINK = re.compile(r"https?://[^\s<>\"'\])]+[^\s<>\"'\]).,;:!?]")
_ADDRESS_END = re.compile(r"[\s<>\"'\])]")
_ALLOWED = ("http", "https", "mailto", "tel")
_ANCHORS = ("a", "area")
_MAX_READINGS = 100
_MARKED = re.compile(r"\{\{(?![{%])(-?)(.*?)(-?)\}\}", re.DOTALL)
_TAG = re.compile(r"<(?:(?P<comment>!--)|(?P<name>[a-zA-Z][^\s/>]*+))")
#: one attribute, or the end of the tag; a quote that is never closed lasts to the end of the text
_ATTRIBUTE = re.compile(
    r"[\s/]*+(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?P<value>\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s>\"'][^\s>]*+)?)?)"
)


class BadLink(ValueError):
    """A destination that no mail of ours may carry."""


def check_destination(url: str) -> str:
    """The destination of a link. Raises BadLink for schemes that run code, and for user info."""
    parts = _parts(url)
    scheme = parts.scheme.lower()
    if scheme and scheme not in _ALLOWED:
        raise BadLink(f"the scheme {scheme}: is not allowed in a link")
    on_a_host = scheme in ("http", "https") or bool(parts.netloc)
    if on_a_host and (not parts.hostname or parts.username is not None):
        raise BadLink(f"{url[:100]!r} names no host, or a user")
    return url


def _parts(url: str) -> SplitResult:
    """As browsers read it: they pass over white space and control characters."""
    try:
        return urlsplit(re.sub(r"[\x00-\x20]", "", url))
    except ValueError as error:
        raise BadLink(f"{url[:100]!r} is no web address") from error


def trackable(url: str) -> bool:
    """Only complete web addresses that are the same for every lead can be tracked."""
    return url.startswith(("http://", "https://")) and "{" not in url


def check_links(html: str) -> None:
    """Look at the destinations of a text that is ready to go. Raises BadLink."""
    for start, end in _destinations(html):
        check_destination(unescape(html[start:end].strip("\"'")))


def rewrite_html(html: str, place: Callable[[str], str | None]) -> str:
    """Replace the destination of every trackable anchor by `place(url)`.

    None leaves it as it is. Raises BadLink, and BadTemplate for a value that could leave its place.
    What a lead's data adds to a destination is marked for the encoder of addresses.
    """
    masked = _masked(html)
    _check_places(html, masked)
    pieces, done = [], 0
    for start, end in _destinations(masked):
        quoted = html[start:end]
        mark = quoted[0] if quoted[0] in "\"'" else '"'
        raw = quoted.strip(mark) if quoted[0] in "\"'" else quoted
        new = _destination(raw, place)
        if new is not None:
            pieces += [html[done:start], f"{mark}{new}{mark}"]
            done = end
    return "".join([*pieces, html[done:]])


def _destination(raw: str, place: Callable[[str], str | None]) -> str | None:
    """What stands there instead, or None where it stays. Raises BadLink."""
    url = unescape(raw)
    if "{" not in url:
        check_destination(url)
        return place(url) if trackable(url) else None
    if url.count("{{") > _MAX_READINGS:
        raise BadLink(f"more than {_MAX_READINGS} places in one address")
    nodes = parse(url)
    for text in _readings(nodes):
        check_destination(text)
    if len(nodes) == 1 and isinstance(nodes[0], Choice):
        options = [_only_words(option) for option in nodes[0].options]
        places = [place(option) for option in options if option and trackable(option)]
        if len(places) == len(options) and None not in places:
            return "{" + "|".join(map(str, places)) + "}"
    marked = _MARKED.sub(lambda found: _marked(found, raw), raw)
    return marked if marked != raw else None


def _only_words(nodes: Sequence[Node]) -> str | None:
    return nodes[0].text if len(nodes) == 1 and isinstance(nodes[0], Words) else None


def _marked(output: re.Match[str], raw: str) -> str:
    left, expression, right = output.groups()
    if not re.sub(r"\{%.*?%\}|[{|\s]", "", raw[: output.start()], flags=re.DOTALL):
        kind = DESTINATION_FILTER
    elif "url_encode" in expression:
        return output[0]
    else:
        kind = URL_FILTER
    return f"{{{{{left}{expression.rstrip()} | {kind} {right}}}}}"


def _readings(nodes: Sequence[Node]) -> list[str]:
    """Every text that the choices allow, as far as it is the operator's. Raises BadLink."""
    texts = [""]
    for node in nodes:
        if isinstance(node, Words):
            texts = [text + node.text for text in texts]
        elif isinstance(node, Output):
            texts = [text + "value" if text else "#" for text in texts]
        elif isinstance(node, Choice):
            texts = [text + more for text in texts for o in node.options for more in _readings(o)]
        if len(texts) > _MAX_READINGS:
            raise BadLink(f"more than {_MAX_READINGS} choices in one address")
    return texts


def _masked(html: str) -> str:
    """The same length, with nothing in it that Liquid reads: its quotes end no attribute."""
    pieces, done = [], 0
    for start, end in liquid_spans(html):
        pieces += [html[done:start], "_" * (end - start)]
        done = end
    return "".join([*pieces, html[done:]])


def _check_places(html: str, masked: str) -> None:
    """In a tag a value stands between quotes: it could add attributes elsewhere. Raises BadTemplate.

    A destination gets its quotes here.
    """
    destinations = set(_destinations(masked))
    for _, attribute in _attributes(masked):
        value = attribute["value"] or ""
        quoted = value[:1] in ("'", '"') or attribute.span("value") in destinations
        for group in ("name",) if quoted else ("name", "value"):
            start, end = attribute.span(group)
            if "{{" in html[start:end]:
                found = html[start:end][:60]
                raise BadTemplate(f"{found!r} stands in a tag: put quotes around it")


def _is_destination(tag: re.Match[str], attribute: re.Match[str]) -> bool:
    return tag["name"].lower() in _ANCHORS and attribute["name"].lower() == "href"


def _attributes(html: str) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Every attribute, behind its tag."""
    position = 0
    while tag := _TAG.search(html, position):
        position = tag.end()
        if tag["comment"]:
            position = html.find("-->", position)
            if position < 0:
                return
            continue
        while (attribute := _ATTRIBUTE.match(html, position)) and not attribute["end"]:
            position = attribute.end()
            yield tag, attribute
        if attribute is None:  # the text ends inside the tag
            return


def _destinations(html: str) -> Iterator[tuple[int, int]]:
    """Where the href values of anchors stand, quotes included: the first of each tag counts."""
    had = -1
    for tag, attribute in _attributes(html):
        if _is_destination(tag, attribute) and tag.start() != had:
            had = tag.start()
            if attribute["value"]:
                yield attribute.span("value")


def rewrite_words(
    nodes: Sequence[Node], place: Callable[[str], Sequence[Node]], *, goes_on: bool = False
) -> tuple[Node, ...]:
    """Replace every trackable web address by `place(url)`. Raises BadLink.

    An address that runs into a place or a choice is not the same for every lead; `goes_on` says
    that the text does so behind its last node.
    """
    found: list[Node] = []
    for number, node in enumerate(nodes):
        follows = goes_on if number + 1 == len(nodes) else _continues(nodes[number + 1])
        if isinstance(node, Words):
            found += _split(node.text, place, goes_on=follows)
        elif isinstance(node, Choice):
            options = (rewrite_words(o, place, goes_on=follows) for o in node.options)
            found.append(Choice(node.number, tuple(options)))
        else:
            found.append(node)
    return tuple(found)


def _continues(node: Node) -> bool:
    return not (isinstance(node, Words) and _ADDRESS_END.match(node.text))


def _split(text: str, place: Callable[[str], Sequence[Node]], *, goes_on: bool) -> Iterator[Node]:
    done = 0
    for match in _TEXT_LINK.finditer(text):
        check_destination(match[0])
        if goes_on and not _ADDRESS_END.search(text, match.end()):
            break
        yield Words(text[done : match.start()])
        yield from place(match[0])
        done = match.end()
    yield Words(text[done:])
