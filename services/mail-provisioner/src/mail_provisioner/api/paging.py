"""The query parameters of every list."""

from typing import Annotated

from fastapi import Query

from postfleet.http import decode_cursor

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=1000)]


def start_of(cursor: str | None) -> str:
    return decode_cursor(cursor) if cursor else ""
