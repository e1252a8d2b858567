"""The result: totals, days, loads, fairness, paces and violations, as JSON that repeats itself."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from postfleet_cli.simulate.auditor import Auditor
from postfleet_cli.simulate.flight import Flight
from postfleet_cli.simulate.options import DAY_MS, START_MS


def report(flight: Flight) -> dict[str, Any]:
    """Everything that was found; nothing in it depends on the machine or the time of day."""
    options, timeline = flight.options, flight.timeline
    auditor = Auditor(flight)
    violations = auditor.audit()
    accepted = [one for one in timeline.attempts if one.code == 250]
    loads = Counter(one.sender for one in accepted)
    return {
        "options": {
            "senders": options.senders,
            "leads": options.leads,
            "days": options.days,
            "seed": options.seed,
            "scenarios": sorted(options.scenarios),
            "gap_seconds": options.gap_ms / 1000,
            "campaigns": options.campaigns,
            "starts_at": _iso(START_MS),
        },
        "violations": sum(violations.values()),
        "violations_by_rule": dict(sorted(violations.items())),
        "examples": auditor.examples,
        "mails_accepted": len(accepted),
        "attempts": len(timeline.attempts),
        "replies_of_servers": _sorted(str(one.code) for one in timeline.attempts),
        "refusals_by_category": _sorted(
            one.category for one in timeline.attempts if one.code != 250
        ),
        "came_back": _sorted(one.what for one in timeline.notices),
        "leads_by_end": _sorted(lead.ended or "still waiting" for lead in flight.leads),
        "kept_back_at_the_gate": timeline.gate,
        "last_mail_at": _iso(accepted[-1].at) if accepted else None,
        "days": _days(flight),
        "senders": _spread([loads[sender.number] for sender in flight.senders]),
        "sender_domains": _spread(_by_domain(flight, loads)),
        "health_at_the_end": _spread([sender.health for sender in flight.senders]),
        "campaigns": _campaigns(flight),
        "throttled_replies": flight.receivers.throttled,
        "paces_halved": dict(sorted(flight.throttles.halvings.items())),
    }


def to_json(found: dict[str, Any]) -> str:
    """The same report is the same bytes."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _days(flight: Flight) -> list[dict[str, Any]]:
    sent, refused, back = Counter[int](), Counter[int](), Counter[int]()
    for one in flight.timeline.attempts:
        (sent if one.code == 250 else refused)[one.at // DAY_MS] += 1
    for notice in flight.timeline.notices:
        back[notice.at // DAY_MS] += notice.what != "out-of-office"
    first = START_MS // DAY_MS
    return [
        {
            "day": _iso(day * DAY_MS)[:10],
            "accepted": sent[day],
            "refused": refused[day],
            "came_back": back[day],
        }
        for day in range(first, first + flight.options.days)
    ]


def _campaigns(flight: Flight) -> list[dict[str, Any]]:
    sent = Counter(one.lead.campaign for one in flight.timeline.attempts if one.code == 250)
    return [
        {
            "id": campaign.id,
            "team": list(campaign.senders),
            "spread": campaign.schedule.spread,
            "recipient_hours": campaign.schedule.recipient_hours,
            "accepted": sent[number],
        }
        for number, campaign in enumerate(flight.campaigns)
    ]


def _by_domain(flight: Flight, loads: Counter[int]) -> list[int]:
    domains: Counter[str] = Counter()
    for sender in flight.senders:
        domains[sender.domain] += loads[sender.number]
    return list(domains.values())


def _spread(values: Sequence[int]) -> dict[str, int]:
    """The least, the quarters and the most."""
    ordered = sorted(values)
    names = ("least", "lower_quarter", "median", "upper_quarter", "most")
    last = len(ordered) - 1
    return {name: ordered[last * part // 4] for part, name in enumerate(names)} if ordered else {}


def _sorted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
