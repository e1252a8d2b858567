"""Where mail for an alias, a group or a catch-all goes."""

from typing import Annotated

from pydantic import Field

from postfleet.addresses import InvalidAddress, canonical
from postfleet.problems import invalid

_MAX_TARGETS = 100

Targets = Annotated[
    list[Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=_MAX_TARGETS)
]


def checked(wanted: list[str], name: str, field: str) -> tuple[str, ...]:
    """In canonical form, each once, in the order given. Raises Problem."""
    targets: dict[str, None] = {}
    for number, target in enumerate(wanted):
        where = f"{field}.{number}"
        try:
            address = canonical(target)
        except InvalidAddress as error:
            raise invalid(where, "INVALID_ADDRESS", str(error)) from error
        if any(character in address for character in ', "#'):
            raise invalid(where, "INVALID_ADDRESS", "quoted names cannot be targets")
        if address == name:
            raise invalid(where, "LOOP", f"{name} cannot lead to itself")
        targets[address] = None
    return tuple(targets)
