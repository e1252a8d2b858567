"""`postfleet plan`: what is asked, and what is printed."""

import pytest

from tests.unit.cli.test_commands import _invoke, _Platform, platform

__all__ = ["platform"]

AHEAD = {
    "without_domains": ["b.test"],
    "mails": 30,
    "leads": 10,
    "starts_at": "2026-11-21T12:00:00Z",
    "finishes_at": None,
    "never_sent": 3,
    "days": [{"day": "2026-11-21", "mails": 30}],
    "senders": [{"sender_id": "s1", "email_address": "a@a.test", "mails": 30}],
    "excluded": [{"sender_id": "s2", "rule": "limit", "detail": "50 of 50 are used today"}],
    "assumes": "every mail is accepted",
}


@pytest.mark.parametrize("command", [("plan",), ("campaigns", "plan")], ids=" ".join)
def test_plan_tells_the_end_the_days_and_who_mails(
    platform: _Platform, command: tuple[str, ...]
) -> None:
    platform.answers["GET", "/campaigns/c1/plan"] = AHEAD
    printed = _invoke(*command, "c1", "--without-domain", "b.test")
    assert platform.requests[0].url.params.get_list("without_domain") == ["b.test"]
    for text in (
        "without b.test",
        "does not finish: 3 leads",
        "2026-11-21",
        "a@a.test",
        "50 of 50",
    ):
        assert text in printed
