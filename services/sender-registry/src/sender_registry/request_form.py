"""What callers may say in a sender request."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, SecretStr

from postfleet.http import Strict
from sender_registry.forms import Line, NewSender, SenderFields


class NewRequest(Strict):
    """`POST /sender-requests`: `account` to create, `changes` to update, `confirm` to delete."""

    operation: Literal["create", "update", "delete"]
    sender_id: Annotated[str, Field(max_length=64)] | None = None
    account: NewSender | None = None
    changes: SenderFields | None = None
    confirm: Line = ""

    def plain_json(self) -> str:
        """With its passwords, to be sealed: pydantic would write asterisks."""
        return orjson.dumps(_revealed(self.model_dump(mode="python", exclude_unset=True))).decode()


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {name: _revealed(inner) for name, inner in value.items()}
    return value
