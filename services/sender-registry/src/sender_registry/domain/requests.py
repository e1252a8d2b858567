"""Requests to create, change or delete a sender: validated first, then executed (S289-S296)."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.senders import SenderRequestSlaBreached
from postfleet.instants import from_ms, to_ms

Operation = Literal["create", "update", "delete"]

_SATURDAY = 5


class State(StrEnum):
    """`rejected` failed its validation, `failed` its execution."""

    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"


OPEN = (State.AWAITING_APPROVAL, State.EXECUTING)  # the SLA clock of these runs


class Step(StrEnum):
    """In their order; the first three are the validation phase."""

    COMPLETENESS = "completeness"
    ELIGIBILITY = "eligibility"
    COMPLIANCE = "compliance"
    PROVISIONING = "provisioning"
    CONFIGURATION = "configuration"
    ACCESS = "access"

    @property
    def phase(self) -> Literal["validation", "execution"]:
        first = (Step.COMPLETENESS, Step.ELIGIBILITY, Step.COMPLIANCE)
        return "validation" if self in first else "execution"


@dataclass(frozen=True, slots=True)
class Done:
    """One step and its outcome; `detail` says what is wrong where it is not ok."""

    step: Step
    ok: bool
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SenderRequest:
    """`form` is JSON; it may hold passwords, so it is stored sealed and in no repr."""

    id: str
    operation: Operation
    sender_id: str
    form: str = field(repr=False)
    requested_by: str
    created_ms: int
    due_ms: int
    state: State
    revision: int = 1
    approved_by: str = ""
    executing_ms: int = 0
    breached_ms: int = 0  # when the breach of the SLA was told, 0 if there is none to tell
    trail: tuple[Done, ...] = ()

    @property
    def settled(self) -> bool:
        return self.state not in OPEN

    def overdue(self, now_ms: int) -> bool:
        return not self.settled and now_ms > self.due_ms

    def with_step(self, step: Step, now_ms: int, problem: str = "") -> "SenderRequest":
        done = Done(step, not problem, problem, now_ms)
        return replace(self, trail=(*self.trail, done))


def breach(request: SenderRequest, now: datetime) -> tuple[SenderRequest, Announcement]:
    """The request with its breach told, and the event that tells it; said twice it is the same."""
    event = SenderRequestSlaBreached(
        occurred_at=now,
        request_id=request.id,
        operation=request.operation,
        sender_id=request.sender_id,
        state=request.state.value,
        requested_by=request.requested_by,
        due_at=from_ms(request.due_ms),
    )
    named = Announcement(event, derived_id(request.id, event.subject))
    return replace(request, breached_ms=to_ms(now)), named


def due(created: datetime) -> datetime:
    """One working day later (S296): at the same time, on no Saturday and no Sunday."""
    day = created + timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    if created.weekday() >= _SATURDAY:  # the clock starts on Monday morning
        return day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return day
