"""Texts with Liquid and choices, written by people we need not trust: scalars in, bounded text out.

There is nothing to loop over, so there are no loops; a filter's result may not be longer than a
whole text may be. A text of words, choices and plain places needs no Liquid at all: it is put
together here, to the same result.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liquid import BoundTemplate, Environment, StrictDefaultUndefined
from liquid.exceptions import (
    LiquidError,
    OutputStreamLimitError,
    ResourceLimitError,
    UndefinedError,
)

from dispatcher.domain.links import DESTINATION_FILTER, URL_FILTER
from dispatcher.domain.slots import (
    Slot,
    as_destination,
    in_address,
    missing,
    slot_of,
)
from dispatcher.domain.spintax import BadTemplate as BadTemplate
from dispatcher.domain.spintax import Choice, Node, Output, Words, chosen, parse

MAX_TEMPLATE_CHARACTERS = 256 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
_NO_TAGS = ("for", "tablerow", "cycle", "break", "continue", "include", "render")
_FILTERS = (
    "abs", "append", "at_least", "at_most", "capitalize", "ceil", "date", "default",
    "divided_by", "downcase", "escape", "escape_once", "first", "floor", "last", "lstrip",
    "minus", "modulo", "newline_to_br", "plus", "prepend", "remove", "remove_first",
    "remove_last", "replace", "replace_first", "replace_last", "round", "rstrip", "size",
    "slice", "split", "squish", "strip", "strip_html", "strip_newlines", "times", "truncate",
    "truncatewords", "upcase", "url_decode", "url_encode",
)  # fmt: skip


class _Bounded(Environment):
    local_namespace_limit = 100_000
    output_stream_limit = MAX_OUTPUT_BYTES
    context_depth_limit = 10

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in _NO_TAGS:
            del self.tags[name]
        self.filters = {name: _bounded(name, self.filters[name]) for name in _FILTERS}
        self.filters[URL_FILTER] = lambda value: in_address(_text(value))
        self.filters[DESTINATION_FILTER] = lambda value: as_destination(_text(value))


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # keeps the marks by which liquid passes its context
    def apply(left: Any, *args: Any, **kwargs: Any) -> Any:
        if type(left) is range:  # isinstance would ask an undefined value for its class
            raise ValueError(f"{name}: a range is not a text")
        if name == "replace" and args:
            added = str(left).count(str(args[0])) * len(str(args[1] if len(args) > 1 else ""))
            _check_length(name, added)
        result = function(left, *args, **kwargs)
        if isinstance(result, str):
            _check_length(name, len(result))
        return result

    return apply


def _check_length(name: str, length: int) -> None:
    if length > MAX_OUTPUT_BYTES:
        message = f"{name}: the result is longer than {MAX_OUTPUT_BYTES} characters"
        raise OutputStreamLimitError(message, token=None)


def _text(value: object) -> str:
    if isinstance(value, StrictDefaultUndefined):
        raise missing(value.name)
    return str(value)


_TEXT = _Bounded(undefined=StrictDefaultUndefined)
_HTML = _Bounded(undefined=StrictDefaultUndefined, autoescape=True)


#: A text of more places than this is filled by Liquid, which counts what it writes.
_MAX_PLACES = 200
_SPIN = "__spin_{}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A choice of a text that takes no Liquid."""

    number: int
    options: tuple["Tree", ...]


Tree = tuple[str | Slot | Drawn, ...]


def template(source: str, *, html: bool = False) -> "Template":
    """Parse a text; `html` escapes every value. Raises BadTemplate."""
    if len(source) > MAX_TEMPLATE_CHARACTERS:
        raise BadTemplate(f"longer than {MAX_TEMPLATE_CHARACTERS} characters")
    return Template(parse(source, html=html), html=html)


class Template:
    """A parsed text. Raises BadTemplate for what can be known to fail before any lead is known.

    `tree` is None for a text that takes Liquid. `fields`: those that it names. `required`: those that
    it cannot do without, as far as that is known.
    """

    def __init__(self, nodes: Sequence[Node], *, html: bool = False) -> None:
        self.nodes, self.html = tuple(nodes), html
        self._spins = {choice.number: len(choice.options) for choice in _choices(self.nodes)}
        self.tree = _tree(self.nodes, html=html)
        slots = list(_slots(self.tree)) if self.tree is not None else []
        if len(slots) + len(self._spins) > _MAX_PLACES:
            self.tree = None
        self.required = frozenset(slot.name for slot in slots if slot.fallback is None)
        self.fields = frozenset(slot.name for slot in slots)
        self._liquid = None if self.tree is not None else self._parsed(liquid_source(self.nodes))

    def _parsed(self, source: str) -> BoundTemplate:
        try:
            parsed = (_HTML if self.html else _TEXT).from_string(source)
            variables = parsed.analyze().globals
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error
        except RecursionError as error:
            raise BadTemplate("nested too deeply") from error
        for name, uses in variables.items():
            if any(len(use.segments) > 1 for use in uses):
                raise BadTemplate(f"{name!r} is a text and has no attributes; use filters instead")
        self.fields = frozenset(variables) - self._drawn("").keys()
        self._try(parsed, variables)
        return parsed

    def _try(self, parsed: BoundTemplate, names: Iterable[str]) -> None:
        """What grows beyond all bounds does so with any values."""
        try:
            parsed.render({**dict.fromkeys(names, "x"), **self._drawn("")})
        except ResourceLimitError as error:
            raise BadTemplate(_reason(error)) from error
        except (LiquidError, ValueError, *_FAILURES):
            return  # it may be right with the values that it is meant for

    def _drawn(self, seed: str) -> dict[str, str]:
        return {_SPIN.format(n): str(chosen(seed, n, k)) for n, k in self._spins.items()}

    def render(self, values: Mapping[str, str], seed: str = "") -> str:
        """Fill in; `seed` draws the choices. Raises BadTemplate for a field that is missing."""
        if self._liquid is None:
            return "".join(_written(self.tree or (), values, seed))
        try:
            return self._liquid.render({**values, **self._drawn(seed)})
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error
        except BadTemplate:
            raise
        except (ValueError, *_FAILURES) as error:
            raise BadTemplate(f"{type(error).__name__}: {error}") from error


_FAILURES = (ArithmeticError, TypeError, RecursionError, MemoryError)


def _choices(nodes: Iterable[Node]) -> Iterator[Choice]:
    for node in nodes:
        if isinstance(node, Choice):
            yield node
            for option in node.options:
                yield from _choices(option)


def _tree(nodes: Iterable[Node], *, html: bool) -> Tree | None:
    """None if it takes Liquid to fill it."""
    tree: list[str | Slot | Drawn] = []
    for node in nodes:
        if isinstance(node, Words):
            tree.append(node.text)
        elif isinstance(node, Output):
            slot = slot_of(node.source, html=html)
            if slot is None:
                return None
            tree.append(slot)
        elif isinstance(node, Choice):
            options = [_tree(option, html=html) for option in node.options]
            known = tuple(option for option in options if option is not None)
            if len(known) < len(options):
                return None
            tree.append(Drawn(node.number, known))
        else:
            return None
    return tuple(tree)


def _slots(tree: Tree) -> Iterator[Slot]:
    for part in tree:
        if isinstance(part, Slot):
            yield part
        elif isinstance(part, Drawn):
            for option in part.options:
                yield from _slots(option)


def _written(tree: Tree, values: Mapping[str, str], seed: str) -> Iterator[str]:
    for part in tree:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Slot):
            yield part.text(values)
        else:
            yield from _written(
                part.options[chosen(seed, part.number, len(part.options))], values, seed
            )


def liquid_source(nodes: Iterable[Node]) -> str:
    """The whole text as Liquid: choices become cases, braces that mean themselves stay so."""
    return "".join(map(_liquid_node, nodes))


def _liquid_node(node: Node) -> str:
    if isinstance(node, Words):
        return node.text.replace("{", "{% raw %}{{% endraw %}")
    if isinstance(node, Choice):
        cases = (
            f'{{% when "{number}" %}}{liquid_source(option)}'
            for number, option in enumerate(node.options)
        )
        return f"{{% case {_SPIN.format(node.number)} %}}{''.join(cases)}{{% endcase %}}"
    return node.source


def _reason(error: LiquidError) -> str:
    if isinstance(error, UndefinedError):
        found = re.match(r"'([^']*)' is undefined", str(error))
        return str(missing(found[1])) if found else str(error)[:300]
    return str(error).splitlines()[0][:300]
