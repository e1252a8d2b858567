"""Ids of what the registry creates: in the order of creation, and not to be guessed."""

import secrets

from postfleet.instants import now_ms


def new_id() -> str:
    """32 hexadecimal digits: 12 of the time in milliseconds, 20 random."""
    return f"{now_ms():012x}{secrets.token_hex(10)}"
