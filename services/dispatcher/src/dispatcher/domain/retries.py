"""Whether a delivery that was refused is tried again, and when: a pure decision over the reply.

- Transient (4yz), or no reply: again, inside the window. Also where the words say that there is no
  such user: servers whose directory is away say so (Postfix while it migrates,
  `unknown_local_recipient_reject_code = 450`), and a good address must not be lost by it. It is a
  soft bounce until a final code comes.
- Permanent (5yz): never again, but for two. What was said before there was a recipient is about the
  sender: its mails wait until the sender's trouble is over. And what the words call temporary (rate
  limit, greylisting, a full mailbox: S193) is believed over the digit.
"""

from dataclasses import dataclass, replace

from dispatcher.domain.draws import fraction
from dispatcher.domain.ledger import MAX_REPLY_TEXT, Item, Settled
from dispatcher.domain.outcomes import (
    ABOUT_THE_SENDER,
    SOFT_BOUNCES,
    Fault,
    Meaning,
    Outcome,
    Phase,
    meaning,
)
from dispatcher.domain.retry_hints import hint_seconds
from postfleet.smtp import SmtpReply

_LONGEST_DELAY_SECONDS = 4 * 3600.0
_PATIENT_GREYLISTS = (
    3  # attempts that wait the base only: the first retry usually passes (RFC 6647)
)
#: temporary whatever digit the code begins with
_TEMPORARY = frozenset({"rate_limited", "greylisted", "mailbox_full"})


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`base_seconds` doubles with each attempt; nothing is tried after `window_seconds`."""

    base_seconds: float
    window_seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was said, when in the conversation, and what else is known of it."""

    reply: SmtpReply | None
    phase: Phase
    text: str


def refused(base: Settled, refusal: Refusal, rules: RetryRules, now: int) -> Settled:
    """What becomes of a delivery after this refusal: deferred until a time, or failed."""
    found = meaning(refusal.reply, refusal.phase, refusal.text)
    settled = replace(
        base,
        at=now,
        meaning=found.category,
        fault=found.fault.value,
        phase=refusal.phase.value,
        reason=refusal.text[:MAX_REPLY_TEXT],
    ).with_reply(refusal.reply)
    if is_final(refusal, found):
        return replace(settled, outcome=Outcome.FAILED)
    delay = delay_seconds(base.item, found, hint_seconds(refusal.reply), rules, now)
    if delay is None:
        expired = "expired" if found.fault is Fault.RECIPIENT else found.category
        return replace(settled, outcome=Outcome.FAILED, meaning=expired)
    return replace(
        settled,
        outcome=Outcome.DEFERRED,
        soft_bounce=found.category in SOFT_BOUNCES and refusal.phase not in ABOUT_THE_SENDER,
        retry_at=now + int(delay * 1000),
    )


def postponed(base: Settled, reason: str, until: int, now: int) -> Settled:
    """Nothing was tried: the same attempt goes at `until`."""
    return replace(
        base,
        outcome=Outcome.POSTPONED,
        at=now,
        reason=reason[:MAX_REPLY_TEXT],
        retry_at=until,
    )


def is_final(refusal: Refusal, found: Meaning) -> bool:
    """Whether trying again is wrong."""
    reply = refusal.reply
    if reply is None or not reply.permanent or found.category in _TEMPORARY:
        return False
    # A mail that is too large is refused at MAIL already where SIZE is known (RFC 1870 §6.1).
    return refusal.phase not in ABOUT_THE_SENDER or found.category == "too_large"


def delay_seconds(
    item: Item, found: Meaning, hint: float | None, rules: RetryRules, now: int
) -> float | None:
    """How long to wait; None when the window would be over. Never shorter than the server asked."""
    jitter = fraction("retry", item.key)
    if hint is not None:
        delay = hint * (1 + jitter / 10) + 1
    else:
        greylisted = found.category == "greylisted" and item.attempt <= _PATIENT_GREYLISTS
        delay = _nominal(1 if greylisted else item.attempt, rules) * (0.75 + jitter / 2)
    begun = item.first_at or now
    return None if now + delay * 1000 > begun + rules.window_seconds * 1000 else delay


def _nominal(attempt: int, rules: RetryRules) -> float:
    doubled = rules.base_seconds * 2 ** min(attempt - 1, 64)
    return float(min(doubled, max(_LONGEST_DELAY_SECONDS, rules.base_seconds)))


_BATCH_FAILURES = 8


def batch_wait_seconds(failures: int) -> float | None:
    """How long a batch rests that failed so often for reasons of its own; None: it is given up."""
    return None if failures >= _BATCH_FAILURES else min(600.0, 5.0 * 2 ** max(0, failures - 1))
