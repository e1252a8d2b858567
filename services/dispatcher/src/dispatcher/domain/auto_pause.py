"""When a campaign is stopped by its own figures: hard bounces (S195, C8) and complaints.

Counted are the mails that went since the campaign was last started or resumed, and what came of
them: who resumes has seen the old figures, and they do not stop the campaign again.

Complaints: receivers want less than 0.1 % and block at 0.3 % (Google's and Yahoo's sender
guidelines of 2024). Both rules need a sample, or one bounce of one mail were 100 %.
"""

from dataclasses import dataclass
from enum import StrEnum


class Advice(StrEnum):
    GO_ON = "go_on"
    WARN = "warn"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class PauseRules:
    """Rates are fractions. Only above `bounce_rate`, but from `complaint_rate` on: as told above."""

    bounce_rate: float = 0.05
    min_sends: int = 20  # 1 of 20 is exactly 5 %, and does not pause
    warn_complaint_rate: float = 0.001
    complaint_rate: float = 0.003
    min_complaints: int = 2  # one person's click stops no campaign; of 1,000 mails it warns


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the mails of one window. `sends` may be cut off where it is enough to clear the campaign."""

    sends: int
    hard_bounces: int
    complaints: int


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` names what was broken: `hard_bounces` or `complaints`."""

    advice: Advice
    rule: str = ""
    reason: str = ""
    rate: float = 0.0


GO_ON = Finding(Advice.GO_ON)


def judge(figures: Figures, rules: PauseRules) -> Finding:
    """What is to be done, the worst first."""
    if figures.sends < rules.min_sends:
        return GO_ON
    bounced = figures.hard_bounces / figures.sends
    if bounced > rules.bounce_rate:
        return _finding(Advice.PAUSE, "hard_bounces", figures.hard_bounces, figures.sends, rules)
    complained = figures.complaints / figures.sends
    if complained >= rules.complaint_rate and figures.complaints >= rules.min_complaints:
        return _finding(Advice.PAUSE, "complaints", figures.complaints, figures.sends, rules)
    if figures.complaints and complained >= rules.warn_complaint_rate:
        return _finding(Advice.WARN, "complaints", figures.complaints, figures.sends, rules)
    return GO_ON


def enough_sends(hard_bounces: int, complaints: int, rules: PauseRules) -> int:
    """With more sends than this no rule is broken: nobody needs to count further."""
    of_bounces = hard_bounces / rules.bounce_rate
    of_complaints = complaints / rules.warn_complaint_rate
    return max(rules.min_sends, int(max(of_bounces, of_complaints))) + 1


def _finding(advice: Advice, rule: str, count: int, sends: int, rules: PauseRules) -> Finding:
    limits = {
        (Advice.PAUSE, "hard_bounces"): f"above {rules.bounce_rate:.1%}",
        (Advice.PAUSE, "complaints"): f"the limit is {rules.complaint_rate:.1%}",
        (Advice.WARN, "complaints"): f"the warning begins at {rules.warn_complaint_rate:.1%}",
    }
    what = rule.replace("_", " ")
    reason = f"{what}: {count} of {sends} mails, {count / sends:.2%}; {limits[advice, rule]}"
    return Finding(advice, rule, reason, count / sends)
