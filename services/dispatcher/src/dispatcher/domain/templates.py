"""Liquid templates written by people we need not trust: scalars in, bounded text out."""

from collections.abc import Mapping

from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.exceptions import LiquidError

MAX_TEMPLATE_CHARACTERS = 256 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024


class BadTemplate(ValueError):
    """The text says where and why."""


class _Bounded(Environment):
    loop_iteration_limit = 1000
    local_namespace_limit = 100_000
    output_stream_limit = MAX_OUTPUT_BYTES
    context_depth_limit = 10


_TEXT = _Bounded(undefined=StrictUndefined)
_HTML = _Bounded(undefined=StrictUndefined, autoescape=True)


class Template:
    """A parsed template; `html` escapes every value. Raises BadTemplate."""

    def __init__(self, source: str, *, html: bool = False) -> None:
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise BadTemplate(f"longer than {MAX_TEMPLATE_CHARACTERS} characters")
        try:
            self._template: BoundTemplate = (_HTML if html else _TEXT).from_string(source)
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error

    def render(self, values: Mapping[str, str]) -> str:
        """Fill in. Raises BadTemplate for a field that the lead does not have and has no default."""
        try:
            return self._template.render(**values)
        except LiquidError as error:
            raise BadTemplate(_reason(error)) from error
        except (ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise BadTemplate(f"{type(error).__name__}: {error}") from error


def _reason(error: LiquidError) -> str:
    return str(error).splitlines()[0][:300]
