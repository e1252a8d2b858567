"""What a campaign asks for and could never get: refused when it is written, not found out later."""

from collections.abc import Iterator
from dataclasses import dataclass

from dispatcher.domain.campaigns import Campaign, Condition, Step
from dispatcher.domain.winner import Metric

_OPENS = (Condition.OPENED, Condition.NOT_OPENED)
_CLICKS = (Condition.CLICKED, Condition.NOT_CLICKED)
_NEEDS_NOTHING = (Condition.ALWAYS, Condition.NOT_REPLIED)
_OPENS_OFF = "needs tracking.opens: without the pixel nobody is seen to open a mail"
_CLICKS_OFF = "needs tracking.clicks: without tracked links no click is seen"
_NO_HTML = "needs an earlier step with body_html: a mail of text alone carries no pixel"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`field` is a path in the campaign's JSON; `message` names the remedy."""

    field: str
    message: str


def contradictions(campaign: Campaign) -> list[Contradiction]:
    """All of them, in the order of the steps."""
    found = []
    for number, step in enumerate(campaign.steps):
        place = f"steps.{number}"
        found += [
            Contradiction(f"{place}.condition", text) for text in _condition(campaign, number)
        ]
        found += [Contradiction(f"{place}.winner", text) for text in _winner(campaign, step)]
    return found


def _condition(campaign: Campaign, number: int) -> Iterator[str]:
    condition = campaign.steps[number].condition
    if condition in _NEEDS_NOTHING:
        return
    if number == 0:
        yield f"{condition} on the first step: nothing was sent before it; use always"
    elif condition in _OPENS and not campaign.tracking.opens:
        yield f"{condition} {_OPENS_OFF}"
    elif condition in _OPENS and not any(map(_has_html, campaign.steps[:number])):
        yield f"{condition} {_NO_HTML}"
    elif condition in _CLICKS and not campaign.tracking.clicks:
        yield f"{condition} {_CLICKS_OFF}"
    elif condition is Condition.REPLIED and campaign.check_reply:
        yield "replied is never met while check_reply ends a lead's sequence; set check_reply false"


def _winner(campaign: Campaign, step: Step) -> Iterator[str]:
    rule = step.winner
    if rule is None:
        return
    if sum(variant.weight > 0 for variant in step.variants) < 2:
        yield "needs two variants or more whose weight is above 0"
    if rule.metric is Metric.OPENED and not campaign.tracking.opens:
        yield f"metric opened {_OPENS_OFF}"
    if rule.metric is Metric.CLICKED and not campaign.tracking.clicks:
        yield f"metric clicked {_CLICKS_OFF}"


def _has_html(step: Step) -> bool:
    return any(variant.body_html for variant in step.variants)
