"""What the Sent folder proves about a mail whose outcome is unknown (RFC 1047).

A copy proves that the mail was accepted. That there is none proves something only where the server
keeps copies, which the mails show that were sent around the same time.
"""

from dataclasses import dataclass
from enum import StrEnum

MIN_LOOKS = 2  # a copy may be late
NEIGHBOURS = 3  # on each side of the doubtful mail
NEIGHBOUR_MS = 24 * 3_600_000  # further away they prove nothing: the folder may be tidied up
LONGEST_PAUSE_MS = 3_600_000


class Ruling(StrEnum):
    CONFIRMED = "confirmed"  # it was accepted
    REFUTED = "refuted"  # it was not: it may be sent again, with the same Message-ID
    OPEN = "open"  # nothing is proved yet


@dataclass(frozen=True, slots=True)
class Look:
    """One look into the Sent folder. Neighbours are mails that were accepted for certain."""

    found: bool
    neighbours_found: int
    neighbours_missing: int


def rule(look: Look, looks: int, waited_ms: int, after_ms: int) -> Ruling:
    """What follows from the look number `looks` (from 1), `waited_ms` after the connection was lost.

    One missing neighbour takes the proof away: better an open question than a mail sent twice.
    """
    if look.found:
        return Ruling.CONFIRMED
    keeps_copies = look.neighbours_found > 0 and look.neighbours_missing == 0
    if keeps_copies and looks >= MIN_LOOKS and waited_ms >= after_ms:
        return Ruling.REFUTED
    return Ruling.OPEN


def pause_ms(looks: int, after_ms: int) -> int:
    """How long to wait when there were `looks` looks before this one: doubled each time, to an hour."""
    return min(after_ms << min(looks, 20), LONGEST_PAUSE_MS)
