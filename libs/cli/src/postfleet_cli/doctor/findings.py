"""What one look has found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works; look at it soon
    TROUBLE = "trouble"  # something does not work, or will not after the next restart
    SKIPPED = "skipped"  # could not be looked at from here; the detail says why


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is empty where nothing is to be done."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def ok(check: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(check, State.OK, detail)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """It works, but not for ever."""
    return Finding(check, State.WARNING, detail, remedy)


def trouble(check: str, detail: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, State.TROUBLE, detail, remedy)


def skipped(check: str, why: str) -> Finding:
    """Nobody looked."""
    return Finding(check, State.SKIPPED, why)
