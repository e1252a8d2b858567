"""The plan itself: 100,000 deliveries over 1,000 senders, and a campaign of 100,000 leads run forward."""

import time
from collections.abc import Callable
from datetime import timedelta

from dispatcher.domain.campaigns import Campaign, Step, Variant
from dispatcher.domain.eligibility import Capacity
from dispatcher.domain.forecast import Forecaster, Person
from dispatcher.domain.planning import Candidate, plan
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus, SmtpSecurity
from postfleet.instants import now_ms
from tests.bench.figures import Figure, figure

_SERVER = MailServer(host="h", port=587, security=SmtpSecurity.STARTTLS, username="u")


def results(quick: bool) -> list[Figure]:
    rounds, mails, senders = (2, 10_000, 100) if quick else (5, 100_000, 1_000)
    fleet = [_sender(n) for n in range(senders)]
    return [
        figure(
            f"plan {mails} deliveries over {senders} senders, CPU",
            [_timed(lambda: _plan(fleet, mails)) for _ in range(rounds)],
            "s",
            goal="" if quick else "<= 10",
        ),
        figure(
            f"run a campaign of {mails} leads forward, CPU",
            [_timed(lambda: _forecast(fleet, mails)) for _ in range(rounds)],
            "s",
            goal="" if quick else "<= 10",
        ),
    ]


def _timed(work: Callable[[], None]) -> float:
    """Seconds of this process's CPU: others on the machine do not count."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _sender(number: int) -> SenderSnapshot:
    return SenderSnapshot(
        sender_id=f"s{number:04}",
        revision=1,
        email_address=f"s{number}@fleet{number % 100}.test",
        domain=f"fleet{number % 100}.test",
        status=SenderStatus.READY,
        health=50 + number % 51,
        daily_limit=120,
        effective_limit=120,
        smtp=_SERVER,
    )


def _plan(fleet: list[SenderSnapshot], mails: int) -> None:
    people = [
        Candidate(
            f"l{n}",
            f"p{n}@x{n % 300}.test",
            campaign_id=f"c{n % 7}",
            destination=f"x{n % 300}.test",
        )
        for n in range(mails)
    ]
    rooms = {f"x{n}.test": mails for n in range(300)}
    capacities = {one.sender_id: Capacity(120, 0) for one in fleet}
    made = plan(people, fleet, capacities, now_ms(), "bench", rooms=rooms)
    if len(made.choices) != mails:
        raise RuntimeError(f"{len(made.choices)} of {mails} were placed")


def _forecast(fleet: list[SenderSnapshot], mails: int) -> None:
    step = Step(timedelta(0), (Variant("A", "Hello", "Hello"),))
    campaign = Campaign(id="c", name="bench", senders=("all",), steps=(step,))
    people = [Person(f"l{n}", f"p{n}@x.test", 0, 0) for n in range(mails)]
    found = Forecaster(campaign, fleet, {}, now_ms()).run(people)
    if found.mails != mails:
        raise RuntimeError(f"{found.mails} of {mails} would be sent")
