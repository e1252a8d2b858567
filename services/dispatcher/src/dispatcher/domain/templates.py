"""Liquid templates written by people we need not trust: scalars in, bounded text out.

There is nothing to loop over, so there are no loops; a filter's result may not be longer than a
whole text may be.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from liquid import BoundTemplate, Environment, StrictDefaultUndefined
from liquid.exceptions import LiquidError

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


class BadTemplate(ValueError):
    """The text says where and why."""


class _Bounded(Environment):
    local_namespace_limit = 100_000
    output_stream_limit = MAX_OUTPUT_BYTES
    context_depth_limit = 10

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in _NO_TAGS:
            del self.tags[name]
        self.filters = {name: _bounded(name, self.filters[name]) for name in _FILTERS}


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
        raise ValueError(f"{name}: the result is longer than {MAX_OUTPUT_BYTES} characters")


_TEXT = _Bounded(undefined=StrictDefaultUndefined)
_HTML = _Bounded(undefined=StrictDefaultUndefined, autoescape=True)


class Template:
    """A parsed template; `html` escapes every value. Raises BadTemplate."""

    def __init__(self, source: str, *, html: bool = False) -> None:
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise BadTemplate(f"longer than {MAX_TEMPLATE_CHARACTERS} characters")
        try:
            self._template: BoundTemplate = (_HTML if html else _TEXT).from_string(source)
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error
        except RecursionError as error:
            raise BadTemplate("nested too deeply") from error

    def render(self, values: Mapping[str, str]) -> str:
        """Fill in. Raises BadTemplate for a field that the lead does not have and has no default."""
        try:
            return self._template.render(values)
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error
        except (ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise BadTemplate(f"{type(error).__name__}: {error}") from error


def _reason(error: LiquidError) -> str:
    return str(error).splitlines()[0][:300]
