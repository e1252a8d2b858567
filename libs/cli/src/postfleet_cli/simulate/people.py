"""Simulated campaigns and the people on their lists."""

from dataclasses import dataclass
from datetime import time, timedelta
from random import Random

from dispatcher.domain.campaigns import Campaign, CampaignState, Schedule, Step, Variant
from dispatcher.domain.destinations import destination_of
from postfleet_cli.simulate.options import Options
from postfleet_cli.simulate.senders import TEAMS

_OFFICE = ((time(9), time(17)),)
_NIGHT = ((time(22), time(6)),)
_WEEK = (0, 1, 2, 3, 4)
_SCHEDULES = (
    Schedule("Europe/Paris", _WEEK, _OFFICE),
    Schedule("America/New_York", _WEEK, _OFFICE, spread=True),
    Schedule("Asia/Tokyo", _WEEK, ((time(9), time(12)), (time(13), time(18)))),
    Schedule("Europe/Paris", _WEEK, _OFFICE, spread=True, recipient_hours=True),
    Schedule("UTC", (), _NIGHT),
)
_ZONES = ("Europe/Paris", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "")
_LARGE = (("gmail.com", 0.4), ("outlook.com", 0.65), ("yahoo.com", 0.75), ("web.de", 0.8))
_SMALL = 300


@dataclass(slots=True)
class SimLead:
    """`ended` says why nothing more is sent, "" while something may be."""

    id: str
    address: str
    domain: str
    campaign: int
    zone: str
    destination: str  # whose servers take its mail
    sender_id: str | None = None
    ended: str = ""


def campaigns(options: Options) -> list[Campaign]:
    """Two steps three days apart; five kinds of schedules, five teams of senders."""
    text = (Variant("A", "Hello", "Hello"),)
    steps = (Step(timedelta(0), text), Step(timedelta(days=3), text))
    return [
        Campaign(
            id=f"c{number:02}",
            name=f"campaign {number}",
            senders=(f"team{number % TEAMS}",),
            steps=steps,
            state=CampaignState.RUNNING,
            schedule=_SCHEDULES[number % len(_SCHEDULES)],
        )
        for number in range(options.campaigns)
    ]


def leads(options: Options) -> list[SimLead]:
    """Shared out over the campaigns; one in five domains is a company's own."""
    chance = Random(f"{options.seed} leads")  # noqa: S311
    found = []
    for number in range(options.leads):
        domain = _domain(chance)
        found.append(
            SimLead(
                id=f"l{number:06}",
                address=f"p{number}@{domain}",
                domain=domain,
                campaign=number % options.campaigns,
                zone=chance.choice(_ZONES),
                destination=destination_of(f"p@{domain}"),
            )
        )
    return found


def _domain(chance: Random) -> str:
    point = chance.random()
    for domain, until in _LARGE:
        if point < until:
            return domain
    return f"company{chance.randrange(_SMALL):03}.test"
