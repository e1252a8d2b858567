"""Why a mail goes as it goes, short enough to travel with its batch."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from dispatcher.domain.planning import Plan

_MOST = 20  # senders by name; of the others the numbers


def reasons(plan: Plan, team: Collection[str], chosen: str = "", weight: int = 0) -> dict[str, Any]:
    """Who was eligible and with which weight, who was excluded by which rule, who was chosen.

    The lists name the twenty heaviest and the first twenty; the numbers count all. A weight of 0
    says that the lead stayed with the sender of its earlier steps.
    """
    eligible = {name: weight for name, weight in plan.eligible.items() if name in team}
    excluded = [one for one in plan.excluded if one.sender_id in team]
    heaviest = sorted(eligible, key=lambda name: (name != chosen, -eligible[name], name))[:_MOST]
    return {
        "chosen": chosen,
        "weight": weight,
        "eligible": heaviest,
        "weights": {name: eligible[name] for name in heaviest},
        "eligible_count": len(eligible),
        "excluded": [[one.sender_id, one.rule, one.detail] for one in excluded[:_MOST]],
        "excluded_by_rule": dict(sorted(Counter(one.rule for one in excluded).items())),
    }
