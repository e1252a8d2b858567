"""What a refusal means, whether the mail goes again, and when: tables an operator would ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.ledger import Item, Settled
from dispatcher.domain.outcomes import Fault, Meaning, Outcome, Phase, meaning
from dispatcher.domain.retries import Refusal, RetryRules, delay_seconds, refused
from dispatcher.domain.retry_hints import LONGEST_SECONDS, hint_seconds
from postfleet.smtp import SmtpReply
from postfleet.smtp_reply_texts import CATEGORIES

NOW = 1_800_000_000_000
DAY = 24 * 3600
RULES = RetryRules(300, DAY)
R, S, C, T = Fault.RECIPIENT, Fault.SENDER, Fault.CONNECTION, Fault.CONTENT


@pytest.mark.parametrize(
    ("code", "text", "phase", "category", "fault"),
    [
        (550, "5.1.1 User unknown", Phase.RCPT, "unknown_user", R),
        (550, "5.1.10 Null MX", Phase.RCPT, "bad_domain", R),
        (551, "5.1.6 moved", Phase.RCPT, "moved", R),
        (552, "5.2.2 Over quota", Phase.RCPT, "mailbox_full", R),
        (452, "4.2.2 mailbox is full", Phase.RCPT, "mailbox_full", R),
        (450, "4.2.0 Greylisted", Phase.RCPT, "greylisted", R),
        (451, "4.7.1 graylisting in action", Phase.RCPT, "greylisted", R),
        (450, "busy", Phase.RCPT, "temporary", R),
        (550, "5.7.1 blocked by policy", Phase.RCPT, "policy", S),
        (550, "5.7.26 DMARC", Phase.FINAL, "authentication", S),
        (550, "5.7.1 blocked using Spamhaus", Phase.RCPT, "reputation", S),
        (421, "4.7.28 too many messages", Phase.RCPT, "rate_limited", S),
        (450, "4.2.1 is receiving mail at a rate that", Phase.RCPT, "rate_limited", R),
        (421, "closing", Phase.MAIL, "connection", C),
        (421, "4.3.2 Too busy, closing connection", Phase.FINAL, "connection", C),
        (554, "5.6.0 spam", Phase.FINAL, "spam", T),
        (552, "5.3.4 too big", Phase.FINAL, "too_large", T),
        (553, "not your address", Phase.MAIL, "sender_rejected", S),
        (451, "4.3.0 database away", Phase.MAIL, "system_problem", S),
        (535, "5.7.8 no", Phase.AUTH, "auth", S),
        (535, "no", Phase.AUTH, "auth", S),
        (454, "4.7.0 Too many login attempts", Phase.AUTH, "rate_limited", S),
        (421, "4.7.0 too many connections", Phase.CONNECT, "rate_limited", S),
        (554, "go away", Phase.CONNECT, "reputation", S),
    ],
)
def test_a_reply_means_something_about_somebody(
    code: int, text: str, phase: Phase, category: str, fault: Fault
) -> None:
    assert meaning(SmtpReply(code, text), phase) == Meaning(category, fault)
    assert category in {*CATEGORIES, "auth"}


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("SSLCertVerificationError: certificate verify failed", "encryption"),
        ("SMTPServerDisconnected: unexpected EOF in TLS handshake", "encryption"),
        ("gaierror: [Errno -2] Name or service not known", "dns"),
        ("ConnectionRefusedError: [Errno 111]", "connection"),
        ("", "connection"),
    ],
)
def test_no_reply_is_the_connections_fault_and_the_error_tells_which(
    text: str, category: str
) -> None:
    assert meaning(None, Phase.CONNECT, text) == Meaning(category, C)


def refusal(
    code: int, text: str, phase: Phase = Phase.RCPT, *, item: Item | None = None
) -> Settled:
    base = Settled(item or Item("d", "l", "jo@x.test"), Outcome.ACCEPTED, 0)
    return refused(base, Refusal(SmtpReply(code, text), phase, text), RULES, NOW)


@pytest.mark.seed("S193", "C35")
@pytest.mark.parametrize(
    ("code", "text", "phase", "outcome"),
    [
        pytest.param(550, "5.1.1 unknown", Phase.RCPT, "failed", id="permanent"),
        pytest.param(450, "4.1.1 user unknown", Phase.RCPT, "deferred", id="4xx 'user unknown'"),
        pytest.param(550, "5.7.1 rate limited", Phase.RCPT, "deferred", id="5xx 'rate limited'"),
        pytest.param(554, "5.7.1 Greylisted", Phase.RCPT, "deferred", id="5xx 'greylisted'"),
        pytest.param(552, "5.2.2 mailbox full", Phase.RCPT, "deferred", id="5xx 'mailbox full'"),
        pytest.param(554, "5.7.1 spam", Phase.FINAL, "failed", id="content"),
        pytest.param(550, "5.7.1 not you", Phase.MAIL, "deferred", id="5xx at MAIL FROM"),
        pytest.param(535, "5.7.8 no", Phase.AUTH, "deferred", id="a refused log-in"),
        pytest.param(552, "5.3.4 too big", Phase.MAIL, "failed", id="too large, at MAIL FROM"),
    ],
)
def test_what_the_words_call_temporary_and_the_senders_trouble_are_tried_again(
    code: int, text: str, phase: Phase, outcome: str
) -> None:
    assert refusal(code, text, phase).outcome == outcome


def test_a_refused_sender_counts_against_the_sender_and_is_no_bounce() -> None:
    settled = refusal(550, "5.1.8 Sender address rejected", Phase.MAIL)
    assert (settled.fault, settled.soft_bounce, settled.phase) == ("sender", False, "mail")


def test_a_window_that_is_over_makes_the_failure_final() -> None:
    last = Item("d", "l", "jo@x.test", 9, first_at=NOW - DAY * 1000)
    expired = refusal(450, "4.2.0 greylisted", item=last)
    assert (expired.outcome, expired.meaning) == (Outcome.FAILED, "expired")
    senders = refusal(550, "5.7.1 no", Phase.MAIL, item=last)
    assert (senders.outcome, senders.meaning) == (Outcome.FAILED, "policy")
    fresh = Item("d", "l", "jo@x.test", 9, first_at=NOW - DAY * 300)
    assert refusal(450, "4.2.0 greylisted", item=fresh).outcome is Outcome.DEFERRED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", 300),
        ("Recipient address rejected: Greylisted for 5 minutes", 300),
        ("4.7.1 Greylisting in action, please come back in 00:14:48", 888),
        ("Retry-After: 120", 120),
        ("please retry after 2 hours", 7200),
        ("greylisted, wait 1 min", 60),
        ("Sorry, blocked for 1 hour", 3600),
        ("5.4.5 Daily user sending limit exceeded", DAY),
        ("Domain x has exceeded the max emails per hour (50/50 (100%)) allowed", 3600),
        ("4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", 4 * 3600),
        ("try again in 99 days", LONGEST_SECONDS),
        ("try again in 0 seconds", None),
        ("try again later", None),
        ("4.3.0 queue id 300 sec", None),
        ("", None),
    ],
)
def test_a_hint_in_the_reply_is_read(text: str, seconds: float | None) -> None:
    assert hint_seconds(SmtpReply(450, text)) == seconds


@given(st.text(max_size=3000))
def test_no_text_makes_a_hint_that_is_not_between_nothing_and_a_day(text: str) -> None:
    hint = hint_seconds(SmtpReply(450, text))
    assert hint is None or 0 < hint <= LONGEST_SECONDS


ANY = Meaning("temporary", R)


def waits(attempt: int, found: Meaning = ANY, hint: float | None = None) -> float | None:
    return delay_seconds(Item("d", "l", "r", attempt, NOW), found, hint, RULES, NOW)


@pytest.mark.parametrize(
    ("attempt", "middle"), [(1, 300), (2, 600), (3, 1200), (6, 9600), (7, 14400), (3000, 14400)]
)
def test_retries_double_up_to_four_hours_with_a_jitter_of_a_quarter(
    attempt: int, middle: float
) -> None:
    delay = waits(attempt)
    assert delay is not None
    assert middle * 0.75 <= delay <= middle * 1.25


def test_greylisting_is_answered_by_patience_not_by_doubling() -> None:
    greylisted = Meaning("greylisted", R)
    assert [round((waits(n, greylisted) or 0) / 300) for n in (1, 2, 3)] == [1, 1, 1]
    assert (waits(5, greylisted) or 0) >= 0.75 * 4800


@given(st.integers(1, 60), st.floats(1, 2 * DAY), st.integers(0, 2 * DAY))
def test_nobody_comes_back_before_the_hint_nor_after_the_window(
    attempt: int, hint: float, age_seconds: int
) -> None:
    item = Item("d", "l", "r", attempt, NOW - age_seconds * 1000)
    delay = delay_seconds(item, ANY, hint, RULES, NOW)
    if delay is not None:
        assert hint < delay
        assert age_seconds + delay <= DAY
