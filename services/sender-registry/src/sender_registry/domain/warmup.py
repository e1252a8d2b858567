"""Warming a mailbox up: how many mails a day, and with whom of the own fleet.

The volume grows from good days only, is held on the first bad sign, and steps back on trouble. The
mails are ordinary deliveries of the category `warmup` between senders of this fleet: nobody outside
takes part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

START = 5
MOST_FACTOR = 1.25  # a day
MOST_MORE = 5  # mails a day
MOST = 40  # warm-up mails a day; beyond it the mailbox is warm
STEP_BACK = 0.5
REPLY_RATE = 0.3  # partners answer this part

#: parts of the mails of a day
_HOLD_AT_SPAM, _BACK_AT_SPAM = 0.1, 0.3
_BACK_AT_REFUSED = 0.05


class Course(StrEnum):
    GROWING = "growing"
    HELD = "held"
    STEPPED_BACK = "stepped_back"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class Warmup:
    """`day` counts the days on which mails went; 0 before the first. `on` is the latest of them."""

    day: int = 0
    volume: int = 0
    course: Course = Course.GROWING
    on: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What became of one day's warm-up mails, and how the sender stood at its end."""

    sent: int
    refused: int = 0  # bounces of both kinds
    spam: int = 0  # found in Junk by the partner, and rescued
    in_cooldown: bool = False


def begin(today: str) -> Warmup:
    return Warmup(1, START, Course.GROWING, today)


def advance(warmup: Warmup, evidence: Evidence, today: str, most: int = MOST) -> Warmup:
    """The plan for `today`, from what became of the day before.

    A day without mails proves nothing: it does not count and changes nothing.
    """
    if warmup.day == 0:
        return begin(today)
    if warmup.on == today or evidence.sent + evidence.refused == 0:
        return warmup
    course = _course(warmup, evidence, most)
    volume = {
        Course.GROWING: min(most, _more(warmup.volume)),
        Course.WARM: most,
        Course.HELD: warmup.volume,
        Course.STEPPED_BACK: max(START, int(warmup.volume * STEP_BACK)),
    }[course]
    return Warmup(warmup.day + 1, volume, course, today)


def _course(warmup: Warmup, evidence: Evidence, most: int) -> Course:
    attempts = evidence.sent + evidence.refused
    refused, spam = evidence.refused / attempts, evidence.spam / attempts
    if evidence.in_cooldown or refused > _BACK_AT_REFUSED or spam > _BACK_AT_SPAM:
        return Course.STEPPED_BACK
    too_few = evidence.sent < warmup.volume // 2  # half a day proves half as much
    if evidence.refused or spam > _HOLD_AT_SPAM or too_few:
        return Course.HELD
    return Course.WARM if warmup.volume >= most else Course.GROWING


def _more(volume: int) -> int:
    """At most a quarter more and at most five more; at least one, or five would never grow."""
    return volume + max(1, min(MOST_MORE, int(volume * (MOST_FACTOR - 1))))


# -- partners ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Partner:
    """A sender of the fleet that can receive: it has IMAP, so that somebody opens and rescues."""

    id: str
    domain: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One mail of the plan. `at` is the part of the day, 0 to 1, at which it goes."""

    number: int
    partner_id: str
    at: float
    reply: bool


def openings(volume: int) -> int:
    """How many of the day's mails begin an exchange: the others answer what partners write."""
    return max(1, round(volume / (1 + REPLY_RATE))) if volume else 0


def exchanges(
    sender_id: str, domain: str, partners: Iterable[Partner], volume: int, day: str
) -> list[Exchange]:
    """The mails of one day: the same for the same day, whoever computes it.

    Partners are of other domains, and nobody gets a second mail before everybody had one.
    """
    others = [p for p in partners if p.domain != domain and p.id != sender_id]
    ordered = sorted(others, key=lambda partner: _draw(sender_id, day, partner.id))
    if not ordered:
        return []
    return sorted(_exchanges(sender_id, ordered, volume, day), key=lambda e: e.at)


def _exchanges(
    sender_id: str, ordered: Sequence[Partner], volume: int, day: str
) -> Iterable[Exchange]:
    for number in range(volume):
        partner = ordered[number % len(ordered)]
        at = _draw(sender_id, day, number, "at")
        reply = _draw(sender_id, day, number, "reply") < REPLY_RATE
        yield Exchange(number, partner.id, at, reply)


def _draw(*parts: object) -> float:
    """0 to 1, from the parts alone."""
    digest = sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
