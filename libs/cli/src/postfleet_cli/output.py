"""How commands print: tables and indented text for people, JSON for programs."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output, never wrapped."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_document(value: Any) -> None:
    """A document as indented `name: value` lines; what is empty is left out."""
    for line in lines(value):
        console.print(line, markup=False, soft_wrap=True)


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """The lines of `print_document`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                yield f"{indent}{name}:"
                yield from lines(inner, indent + "  ")
            elif inner not in (None, "", [], {}):
                yield f"{indent}{name}: {_text(inner)}"
    elif isinstance(value, list):
        for inner in value:
            first, *rest = list(lines(inner, indent + "  ")) or [f"{indent}  -"]
            yield f"{indent}- {first.strip()}"
            yield from rest
    else:
        yield f"{indent}{_text(value)}"


def _text(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
