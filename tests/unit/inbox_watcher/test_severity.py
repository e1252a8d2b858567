"""What a failure means for the address: the table that an operator would ask for."""

import pytest

from postfleet.smtp_reply import judge, status_in


@pytest.mark.seed("S187", "S188", "S192")
@pytest.mark.parametrize(
    ("status", "text", "severity", "category"),
    [
        pytest.param("5.1.1", "550 5.1.1 User unknown", "hard", "unknown_user", id="user unknown"),
        pytest.param("", "550 No such user here", "hard", "unknown_user", id="no status at all"),
        pytest.param("5.1.1", "", "hard", "unknown_user", id="a status and no words"),
        pytest.param("5.1.2", "Host not found", "hard", "bad_domain", id="no such domain"),
        pytest.param("5.1.10", "", "hard", "bad_domain", id="null MX"),
        pytest.param("5.2.1", "550 account disabled", "hard", "disabled", id="account disabled"),
        pytest.param(
            "5.0.0", "550 mailbox not found", "hard", "unknown_user", id="mailbox not found"
        ),
        pytest.param("", "550 address rejected", "hard", "unknown_user", id="address rejected"),
        pytest.param("5.2.2", "552 mailbox full", "soft", "mailbox_full", id="mailbox full"),
        pytest.param(
            "5.1.1", "550 over quota", "soft", "mailbox_full", id="words before the status"
        ),
        pytest.param("", "452 4.2.2 Over quota", "soft", "mailbox_full", id="quota, transient"),
        pytest.param("", "451 try again later", "soft", "temporary", id="try again later"),
        pytest.param("4.7.1", "450 4.7.1 Greylisted", "soft", "greylisted", id="greylisted"),
        pytest.param("", "421 rate limited", "soft", "rate_limited", id="rate limited"),
        pytest.param("4.1.1", "450 4.1.1 user unknown", "soft", "unknown_user", id="only a 450"),
        pytest.param(
            "5.0.0", "450 4.1.1 user unknown", "soft", "unknown_user", id="code over 5.0.0"
        ),
        pytest.param("5.7.1", "550 5.7.1 blocked by policy", "policy", "policy", id="policy"),
        pytest.param("5.7.26", "", "policy", "authentication", id="DMARC by status"),
        pytest.param("", "554 blocked using Spamhaus", "policy", "reputation", id="block list"),
        pytest.param("5.7.1", "550 looks like spam", "policy", "spam", id="spam"),
        pytest.param("5.3.4", "552 message too large", "policy", "too_large", id="too large"),
        pytest.param("4.4.7", "", "soft", "expired", id="expired in the queue"),
        pytest.param(
            "5.5.0", "500 what?", "soft", "protocol", id="a protocol error proves nothing"
        ),
        pytest.param("", "550", "hard", "unknown_user", id="a bare 550"),
        pytest.param("", "", "soft", "other", id="nothing known is never hard"),
    ],
)
def test_a_failure_is_judged(status: str, text: str, severity: str, category: str) -> None:
    failure = judge(status, text)
    assert (failure.severity, failure.category) == (severity, category), failure.reason


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("550 5.1.1 no", "5.1.1"),
        ("#5.1.1", "5.1.1"),
        ("from 192.0.2.1.5", ""),
        ("10.5.1.1 is an address", ""),
        ("version 5.1.1.2", ""),
    ],
)
def test_a_status_is_found_in_words_and_addresses_are_not_taken_for_one(
    text: str, status: str
) -> None:
    assert status_in(text) == status
