"""The items of a ledger's document, kept as one text.

Nothing is asked of the database about a single one of them, and the embedded server walks through
every value of a document several times: as a list, fifty settled mails cost it ten times as much.
"""

from typing import Any

import orjson


def packed(items: list[Any]) -> str:
    return orjson.dumps(items).decode()


def unpacked(stored: str | list[Any]) -> list[Any]:
    """Ledgers begun before there was a text hold the list itself."""
    items: list[Any] = orjson.loads(stored) if isinstance(stored, str) else stored
    return items
