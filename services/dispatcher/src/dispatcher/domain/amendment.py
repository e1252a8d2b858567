"""What of a campaign may still be changed, and when.

A step has begun when a lead has come past it: then it stays as it is, for what was sent cannot be
changed and its figures would mix two texts. The steps behind it are open, as are the name, the
senders, the schedule, `check_reply` and the postal address.
"""

from dataclasses import dataclass, replace

from dispatcher.domain.campaigns import Campaign, CampaignState, Step

#: The links in the mails of steps that have begun depend on it.
_AT_REST_ONLY = frozenset({"tracking"})
_BEFORE_THE_END = frozenset({"steps", "tracking"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a field stays as it is; `code` is for programs, the message names the remedy."""

    field: str
    code: str
    message: str


def refusal(
    campaign: Campaign, changed: Campaign, fields: frozenset[str], begun: int
) -> Refusal | None:
    """Why `fields` may not become those of `changed`, or None. `begun` counts the begun steps."""
    state = campaign.state
    if state is CampaignState.COMPLETED and (late := sorted(fields & _BEFORE_THE_END)):
        return Refusal(late[0], "COMPLETED", "the campaign is over; duplicate it to send it anew")
    if state is CampaignState.RUNNING and (hot := sorted(fields & _AT_REST_ONLY)):
        return Refusal(hot[0], "RUNNING", "pause the campaign before you change this")
    if len(changed.steps) < begun:
        return _begun(len(changed.steps), "it cannot be left out")
    for number, step in enumerate(changed.steps[:begun]):
        if _content(step) != _content(campaign.steps[number]):
            return _begun(number, "send it as it is, and change later steps only")
    return None


def first_change(campaign: Campaign, changed: Campaign) -> int:
    """The number of the first step that differs; the number of steps if none does."""
    pairs = zip(campaign.steps, changed.steps, strict=False)
    for number, (old, new) in enumerate(pairs):
        if _content(old) != _content(new):
            return number
    return min(len(campaign.steps), len(changed.steps))


def _begun(number: int, remedy: str) -> Refusal:
    return Refusal(f"steps.{number}", "STEP_BEGUN", f"mail of this step is out already: {remedy}")


def _content(step: Step) -> Step:
    return replace(step, choice=None)
