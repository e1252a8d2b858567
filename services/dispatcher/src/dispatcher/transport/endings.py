"""A connection is over: what becomes of each mail that was under way on it."""

from collections.abc import Iterable

from dispatcher.domain.outcomes import Phase
from dispatcher.transport.commands import DOT, PHASES, QUIT
from dispatcher.transport.mails import Mail, Refused, Result
from postfleet.smtp import OutcomeUnknown

Expected = tuple[int, Mail]  # what a reply is awaited to, and whose it is


def under_way(expected: Iterable[Expected]) -> dict[Mail, int]:
    """Each mail, and the first of its commands that has got no reply."""
    left: dict[Mail, int] = {}
    for kind, mail in expected:
        if kind != QUIT:
            left.setdefault(mail, kind)
    return left


def fate(mail: Mail, awaited: int, why: str, *, heard: bool) -> Result | None:
    """None: it goes over another connection, for the end was through no fault of its own.

    `heard`: the server knows of this mail, or it was the first and nothing else explains the end.
    """
    if awaited == DOT:
        return OutcomeUnknown(f"after the final dot: {why}")
    if mail.refusal is not None:  # what the server said before counts
        return mail.refusal
    if not heard:
        return None
    phase = PHASES.get(awaited, Phase.MAIL)
    return Refused(phase, None, f"{phase}: {why}")
