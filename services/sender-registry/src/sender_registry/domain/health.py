"""The reputation of a sender: 0 to 100, moved by what became of each delivery.

A delivery is punished once, for the worst that was seen of it: a refusal and the DSN that follows
are one bounce.
"""

from enum import StrEnum

FULL = 100
MINIMUM_FOR_CAMPAIGNS = 20  # below it the sender gets no campaign mail; 20 itself is eligible


class Outcome(StrEnum):
    SENT = "sent"
    SOFT_BOUNCE = "soft_bounce"
    INVALID_RECIPIENT = "invalid_recipient"
    PERMANENT_FAILURE = "permanent_failure"
    COMPLAINT = "complaint"


DELTAS = {
    Outcome.SENT: 1,
    Outcome.SOFT_BOUNCE: -5,
    Outcome.INVALID_RECIPIENT: -15,
    Outcome.PERMANENT_FAILURE: -10,
    Outcome.COMPLAINT: -15,  # no less than the worst bounce
}
PENALTIES = tuple(sorted({delta for delta in DELTAS.values() if delta < 0}))

#: categories of bounces that say the address itself is wrong
_INVALID_CATEGORIES = frozenset(
    {"unknown_user", "disabled", "moved", "bad_domain", "bad_address"}
    | {"recipient_invalid", "domain_invalid", "recipient_moved"}  # as older events say it
)
#: in 5.1.x, and yet about the reverse-path (RFC 3463 §3.2)
_ABOUT_THE_SENDER = frozenset({"5.1.7", "5.1.8"})


def judge_bounce(enhanced_status: str, category: str) -> Outcome:
    """What a hard bounce says: about the address, or that the mail was refused for another reason."""
    about_address = enhanced_status.startswith("5.1.") and enhanced_status not in _ABOUT_THE_SENDER
    if about_address or category in _INVALID_CATEGORIES:
        return Outcome.INVALID_RECIPIENT
    return Outcome.PERMANENT_FAILURE


def delta(outcome: Outcome, worst_so_far: int) -> int:
    """What `outcome` changes for a delivery already punished with `worst_so_far` (0: not yet)."""
    new = DELTAS[outcome]
    if new > 0:
        return new if worst_so_far == 0 else 0
    return min(0, new - worst_so_far)


def clamp(health: int) -> int:
    return max(0, min(FULL, health))


def is_news(before: int, after: int) -> bool:
    """Whether the change is announced: another tenth, which includes crossing 20."""
    return before // 10 != after // 10
