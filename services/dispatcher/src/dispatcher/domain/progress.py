"""What comes next for a lead: its step goes, waits, is passed over, or nothing more comes.

A step's `delay` is the time that the recipient has. When it is over the step's condition is judged,
once, on what is known then; what becomes known later changes nothing. A step whose condition is not
met is passed over, and the delay of the next one counts from that moment.
"""

from dataclasses import dataclass
from enum import StrEnum

from dispatcher.domain.campaigns import Campaign, Condition
from dispatcher.domain.outcomes import Outcome

#: What asks for opens and clicks of the mails before.
OF_HITS = frozenset(
    {Condition.OPENED, Condition.NOT_OPENED, Condition.CLICKED, Condition.NOT_CLICKED}
)
NEVER = 1 << 60  # a due time that does not come
CONDITION = "condition"  # the `meaning` of a delivery that was passed over

_ROW_MISSING_MS = 2_000  # its settlement is being announced
_ROW_OPEN_MS = 10_000
_FAILED = (Outcome.FAILED.value, Outcome.SKIPPED.value)


class Move(StrEnum):
    GO = "go"
    WAIT = "wait"  # look again at the time given
    SKIP = "skip"  # the step's condition is not met: on to the next step
    END = "end"  # the mail before did not arrive: nothing more is sent


@dataclass(frozen=True, slots=True)
class Facts:
    """What people did with any mail of this campaign that this lead had; humans only."""

    replied: bool = False
    opened: bool = False
    clicked: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """The delivery of the step before, as the ledger has it. Times in ms since the epoch."""

    state: str
    accepted_at: int | None = None
    settled_at: int = 0
    next_attempt_at: int = 0
    meaning: str = ""

    @property
    def passed_over(self) -> bool:
        return self.state == Outcome.SKIPPED.value and self.meaning == CONDITION

    @property
    def over_at(self) -> int | None:
        """When the step was done with, if it was: the next one's delay counts from here."""
        return self.settled_at if self.passed_over else self.accepted_at


@dataclass(frozen=True, slots=True)
class Next:
    """`at` is when to look again (for WAIT); `reason` why a step is passed over, for people."""

    move: Move
    at: int = 0
    reason: str = ""


def next_move(
    campaign: Campaign, step: int, before: Before | None, facts: Facts, moment: int
) -> Next:
    """What to do at `moment` with a lead whose next step is `step`."""
    if step >= len(campaign.steps):
        return Next(Move.WAIT, NEVER)
    if step == 0:
        return Next(Move.GO)
    if before is None:
        return Next(Move.WAIT, moment + _ROW_MISSING_MS)
    if before.over_at is not None:
        return _when_over(campaign, step, before.over_at, facts, moment)
    if before.state in _FAILED:
        return Next(Move.END)
    return Next(Move.WAIT, max(moment, before.next_attempt_at) + _ROW_OPEN_MS)


def _when_over(campaign: Campaign, step: int, over_at: int, facts: Facts, moment: int) -> Next:
    due = over_at + delay_ms(campaign, step)
    if due > moment:
        return Next(Move.WAIT, due)
    condition = campaign.steps[step].condition
    if met(condition, facts):
        return Next(Move.GO)
    return Next(Move.SKIP, reason=f"condition: {condition} is not met")


def met(condition: Condition, facts: Facts) -> bool:
    """Whether the condition holds. Who clicked has also opened: many readers load no images."""
    opened = facts.opened or facts.clicked
    return {
        Condition.ALWAYS: True,
        Condition.REPLIED: facts.replied,
        Condition.NOT_REPLIED: not facts.replied,
        Condition.OPENED: opened,
        Condition.NOT_OPENED: not opened,
        Condition.CLICKED: facts.clicked,
        Condition.NOT_CLICKED: not facts.clicked,
    }[condition]


def due_after(campaign: Campaign, step: int, moment: int) -> int:
    """When to look at a lead again whose `step` was planned or passed over at `moment`."""
    return NEVER if step + 1 >= len(campaign.steps) else moment + delay_ms(campaign, step + 1)


def delay_ms(campaign: Campaign, step: int) -> int:
    """The step's delay in milliseconds."""
    return int(campaign.steps[step].delay.total_seconds() * 1000)
