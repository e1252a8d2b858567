"""What will end is told at thirty days, a week and a day, each once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postfleet.events.senders import CredentialExpiring, MailServer, SmtpSecurity
from postfleet.instants import from_ms, to_ms
from sender_registry.domain.announcing import settle
from sender_registry.domain.deadlines import (
    DeadlineRules,
    What,
    certificates_near,
    deadlines,
    warned,
)
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.oauth import Grant
from sender_registry.domain.presets import InboxType
from sender_registry.domain.sender import Sender
from tests.unit.sender_registry.samples import NOW, NOW_MS, sender

DAY_MS = 24 * 3600 * 1000
RULES = DeadlineRules()
PROFILE = sender().profile
XOAUTH2 = MailServer(
    host="s", port=587, security=SmtpSecurity.STARTTLS, username="u", auth_method="xoauth2"
)


def fresh(**changes: Any) -> Sender:
    return sender(**{"secrets_ms": NOW_MS, **changes})


def told(before: Sender, days_later: float = 0) -> tuple[Sender, list[str]]:
    now = NOW + timedelta(days=days_later)
    change = settle(before, warned(before, RULES, to_ms(now)), now, LimitRules())
    if change is None:
        return before, []
    events = [a.event for a in change.announcements]
    return change.after, [e.what for e in events if isinstance(e, CredentialExpiring)]


@pytest.mark.seed("S251", "C34")
@pytest.mark.parametrize(
    ("changes", "what", "days"),
    [
        pytest.param({}, "password_age", 365, id="an app password is a year old"),
        pytest.param(
            {"profile": replace(PROFILE, inbox_type=InboxType.OUTLOOK_365)},
            "password_log_ins_end",
            39.375,
            id="Microsoft switches passwords off",
        ),
        pytest.param(
            {"smtp": XOAUTH2, "grant": Grant("google", 0, NOW_MS + 90 * DAY_MS)},
            "oauth_grant",
            90,
            id="a grant ends",
        ),
    ],
)
def test_an_end_is_told_at_thirty_days_a_week_and_a_day(
    changes: dict[str, Any], what: str, days: float
) -> None:
    before = fresh(**changes)
    assert told(before, days - 30.01)[1] == []
    at_thirty, said = told(before, days - 30)
    assert said == [what]
    assert told(at_thirty, days - 7.01)[1] == []
    at_seven, said = told(at_thirty, days - 7)
    assert said == [what]
    at_one, said = told(at_seven, days - 1)
    assert said == [what]
    assert told(at_one, days + 5)[1] == []


def test_certificates_are_told_only_a_week_ahead() -> None:
    before = fresh(smtp_certificate_ms=NOW_MS + 10 * DAY_MS)
    assert told(before)[1] == []
    assert told(before, 3)[1] == ["smtp_certificate"]
    assert not certificates_near(before, NOW_MS)
    assert certificates_near(before, NOW_MS + 3 * DAY_MS)


def test_the_volume_at_risk_and_the_day_are_told() -> None:
    before = fresh(imap_certificate_ms=NOW_MS + DAY_MS, told_limit=50)
    change = settle(before, warned(before, RULES, NOW_MS), NOW, LimitRules())
    assert change is not None
    [announcement] = change.announcements
    event = announcement.event
    assert isinstance(event, CredentialExpiring)
    assert (event.what, event.daily_volume) == ("imap_certificate", 50)
    assert event.expires_at == from_ms(NOW_MS + DAY_MS)


def test_two_ends_at_once_are_two_events_with_two_ids() -> None:
    before = fresh(smtp_certificate_ms=NOW_MS + 1, imap_certificate_ms=NOW_MS + 1)
    change = settle(before, warned(before, RULES, NOW_MS), NOW, LimitRules())
    assert change is not None
    assert len({a.id for a in change.announcements}) == 2


def test_a_new_password_starts_the_count_again() -> None:
    old, said = told(sender(secrets_ms=NOW_MS - 364 * DAY_MS))
    assert said == ["password_age"]
    renewed, said = told(replace(old, secrets_ms=NOW_MS))
    assert (said, renewed.warned) == ([], ())
    assert told(renewed, 335)[1] == ["password_age"]


def test_the_nearest_comes_first() -> None:
    found = deadlines(fresh(smtp_certificate_ms=NOW_MS + 5), RULES)
    assert [d.what for d in found] == [What.SMTP_CERTIFICATE, What.PASSWORD_AGE]


def test_passwords_of_our_own_mailboxes_have_no_age() -> None:
    assert deadlines(fresh(profile=replace(PROFILE, kind="internal")), RULES) == []
