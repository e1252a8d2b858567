"""Which events a change says."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postfleet.events.senders import (
    MailServer,
    SenderEvent,
    SenderHealthChanged,
    SenderLimitReached,
    SenderUpdated,
    SmtpSecurity,
)
from postfleet.instants import from_ms, to_ms
from sender_registry.domain.announcing import created, settle
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.sender import Counts, Sender, Suspension
from tests.unit.sender_registry.samples import NOW, NOW_MS, sender

RULES = LimitRules()
TODAY = {"day": "2026-11-21", "month": "2026-11"}
IMAP = MailServer(host="imap.one.test", port=993, security=SmtpSecurity.IMPLICIT, username="ann")


def events(before: Sender, after: Sender) -> list[SenderEvent]:
    change = settle(before, after, NOW, RULES)
    said = [a.event for a in change.announcements] if change else []
    assert all(isinstance(event, SenderEvent) for event in said)
    return said  # type: ignore[return-value]


def changed(before: Sender, **changes: Any) -> list[str]:
    return [
        event.subject.removeprefix("sender.")
        for event in events(before, replace(before, **changes))
    ]


PROFILE = sender().profile


@pytest.mark.seed("S256")
@pytest.mark.parametrize(
    ("before", "changes", "said"),
    [
        pytest.param(
            {}, {"counts": Counts(**TODAY, today=1, this_month=1)}, [], id="a mail was sent"
        ),
        pytest.param(
            {},
            {"counts": Counts(**TODAY, today=50, this_month=50)},
            ["limit_reached"],
            id="the last mail of the day",
        ),
        pytest.param({}, {"profile": replace(PROFILE, name="x")}, ["updated"], id="a setting"),
        pytest.param({}, {"secrets_ms": 1}, ["updated"], id="a new password"),
        pytest.param(
            {},
            {"profile": replace(PROFILE, warmup_mode=True)},
            ["updated", "warmup_advanced"],
            id="warm-up begins",
        ),
        pytest.param(
            {"profile": replace(PROFILE, warmup_mode=True)},
            {"profile": PROFILE},
            ["updated", "ready"],
            id="warm-up ends",
        ),
        pytest.param({"health": 90}, {"health": 99}, [], id="health within a tenth"),
        pytest.param({"health": 90}, {"health": 89}, ["health_changed"], id="health below a tenth"),
        pytest.param(
            {"health": 20}, {"health": 19}, ["health_changed", "restricted"], id="health below 20"
        ),
        pytest.param({"health": 19}, {"health": 14}, [], id="health below 20 already"),
        pytest.param(
            {"health": 19}, {"health": 20}, ["health_changed", "ready"], id="health 20 again"
        ),
        pytest.param({}, {"streak": Streak(2)}, [], id="two errors"),
        pytest.param({}, {"streak": Streak(0, NOW_MS + 1)}, ["cooldown_started"], id="a cooldown"),
        pytest.param(
            {"streak": Streak(0, NOW_MS)}, {"streak": Streak()}, ["cooldown_ended"], id="its end"
        ),
        pytest.param(
            {}, {"suspension": Suspension("ann", "")}, ["suspended", "restricted"], id="suspended"
        ),
        pytest.param(
            {"suspension": Suspension("ann")},
            {"suspension": Suspension()},
            ["resumed", "ready"],
            id="resumed",
        ),
        pytest.param(
            {"suspension": Suspension("ann"), "smtp_code": "TIMEOUT"},
            {"suspension": Suspension()},
            ["resumed", "restricted"],
            id="resumed, and still broken",
        ),
        pytest.param({}, {"smtp_code": "AUTH_FAILED"}, ["restricted"], id="the log-in fails now"),
        pytest.param(
            {"smtp_code": "AUTH_FAILED"}, {"smtp_code": ""}, ["ready"], id="it works again"
        ),
        pytest.param(
            {"imap": IMAP},
            {"imap_code": "TIMEOUT"},
            ["updated", "restricted"],
            id="replies are seen no more",
        ),
        pytest.param(
            {}, {"deleted_ms": NOW_MS, "health": 3}, ["deleted"], id="deleted says nothing else"
        ),
        pytest.param({}, {}, [], id="no change"),
    ],
)
def test_a_change_says_what_others_need(
    before: dict[str, Any], changes: dict[str, Any], said: list[str]
) -> None:
    assert changed(sender(**before), **changes) == said


def test_nothing_is_written_when_nothing_changed() -> None:
    assert settle(sender(), sender(), NOW, RULES) is None


def test_every_event_carries_the_sender_as_it_is_afterwards() -> None:
    [event] = events(sender(health=90), sender(health=75))
    assert isinstance(event, SenderHealthChanged)
    assert (event.previous, event.health, event.sender.health) == (90, 75, 75)
    assert event.sender.revision == 2


def test_the_same_write_gives_the_same_event_ids() -> None:
    first = settle(sender(health=90), sender(health=75), NOW, RULES)
    again = settle(sender(health=90), sender(health=75), NOW + timedelta(seconds=1), RULES)
    assert first is not None
    assert again is not None
    assert [a.id for a in first.announcements] == [a.id for a in again.announcements]


@pytest.mark.seed("S245", "S246")
def test_a_limit_that_grew_with_the_age_of_the_mailbox_is_told() -> None:
    profile = replace(PROFILE, daily_limit=100, established_ms=to_ms(NOW - timedelta(days=14)))
    young = sender(profile=profile, told_limit=30)
    [event] = events(young, young)
    assert isinstance(event, SenderUpdated)
    assert event.changed == ("effective_limit",)
    assert event.sender.effective_limit == 80


def test_a_limit_is_told_to_be_used_up_once_a_day() -> None:
    full = Counts(**TODAY, today=50, this_month=50)  # type: ignore[arg-type]
    change = settle(sender(), sender(counts=full), NOW, RULES)
    assert change is not None
    event = change.announcements[0].event
    assert isinstance(event, SenderLimitReached)
    assert (event.limit, event.until.isoformat()) == ("configured", "2026-11-22T00:00:00+00:00")
    assert changed(change.after, counts=replace(full, today=51)) == []


def test_a_new_sender_says_created_and_its_limit() -> None:
    change = created(sender(told_limit=0, revision=0), NOW, RULES)
    assert [a.subject for a in change.announcements] == ["sender.created"]
    assert (change.after.told_limit, change.after.revision) == (50, 1)


def test_the_snapshot_tells_the_end_of_a_cooldown() -> None:
    [event] = events(sender(), sender(streak=Streak(0, NOW_MS + 5)))
    assert event.sender.cooldown_until == from_ms(NOW_MS + 5)
