"""Outcomes, retries, ids and the events that follow: tables an operator would ask for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.identity import attempt_id, delivery_id, lead_id, message_id
from dispatcher.domain.ledger import Batch, Item, Origin, Settled, announcements
from dispatcher.domain.outcomes import Fault, Outcome, Phase, meaning, retry_delay_seconds
from postfleet.events import BounceHard, EmailDeferred, EmailFailed, EmailSent
from postfleet.smtp import SmtpReply

ORIGIN = Origin("spring", 1, "A", "s1", "campaign")
ITEM = Item("d" * 32, "lead", "jo@x.test", 2)


@pytest.mark.parametrize(
    ("code", "text", "phase", "category", "fault"),
    [
        (550, "5.1.1 User unknown", Phase.RCPT, "recipient_invalid", Fault.RECIPIENT),
        (550, "5.1.10 Null MX", Phase.RCPT, "domain_invalid", Fault.RECIPIENT),
        (550, "no text at all", Phase.RCPT, "recipient_invalid", Fault.RECIPIENT),
        (551, "moved", Phase.RCPT, "recipient_moved", Fault.RECIPIENT),
        (552, "5.2.2 Over quota", Phase.RCPT, "mailbox_full", Fault.RECIPIENT),
        (452, "4.2.2 mailbox is full", Phase.RCPT, "mailbox_full", Fault.RECIPIENT),
        (450, "4.2.0 Greylisted", Phase.RCPT, "greylisted", Fault.RECIPIENT),
        (451, "4.7.1 graylist in action", Phase.RCPT, "greylisted", Fault.RECIPIENT),
        (450, "busy", Phase.RCPT, "mailbox_unavailable", Fault.RECIPIENT),
        (550, "5.7.1 blocked", Phase.RCPT, "policy", Fault.SENDER),
        (550, "5.7.26 DMARC", Phase.FINAL, "sender_authentication", Fault.SENDER),
        (421, "4.7.28 too many messages", Phase.RCPT, "rate_limited", Fault.SENDER),
        (421, "closing", Phase.MAIL, "system_busy", Fault.CONNECTION),
        (421, "closing", Phase.FINAL, "system_busy", Fault.CONNECTION),
        (554, "5.6.0 spam", Phase.FINAL, "content", Fault.CONTENT),
        (554, "refused", Phase.DATA, "content", Fault.CONTENT),
        (552, "5.3.4 too big", Phase.FINAL, "message_too_large", Fault.CONTENT),
        (553, "not your address", Phase.MAIL, "sender_refused", Fault.SENDER),
        (535, "5.7.8 no", Phase.AUTH, "auth", Fault.SENDER),
        (535, "no", Phase.AUTH, "auth", Fault.SENDER),
        (554, "go away", Phase.CONNECT, "connection", Fault.CONNECTION),
    ],
)
def test_a_reply_means_something_about_somebody(
    code: int, text: str, phase: Phase, category: str, fault: Fault
) -> None:
    found = meaning(SmtpReply(code, text), phase)
    assert (found.category, found.fault) == (category, fault)


def test_no_reply_is_the_connections_fault() -> None:
    assert meaning(None, Phase.FINAL).fault is Fault.CONNECTION


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (1, 300),
        (2, 600),
        (3, 1200),
        (6, 9600),
        (7, 14400),
        (8, 14400),
        (10, 14400),
        (11, None),
        (3000, None),
    ],
)
def test_retries_double_up_to_four_hours_inside_the_window(
    attempt: int, expected: float | None
) -> None:
    assert retry_delay_seconds(attempt, 300.0, 24 * 3600, 0.5) == expected


@given(st.integers(1, 60), st.floats(1, 1e4), st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_jitter_moves_a_delay_by_a_quarter_at_most(
    attempt: int, base: float, window: float, jitter: float
) -> None:
    delay = retry_delay_seconds(attempt, base, window, jitter)
    middle = retry_delay_seconds(attempt, base, window, 0.5)
    assert (delay is None) is (middle is None)
    if delay is not None and middle is not None:
        assert middle * 0.75 <= delay <= middle * 1.25
        assert delay <= window * 1.25


def settled(outcome: Outcome, **fields: Any) -> Settled:
    return Settled(ITEM, outcome, 1_800_000_000_000, message_id="<m@fleet.test>", **fields)


@pytest.mark.parametrize(
    ("fact", "subjects"),
    [
        pytest.param(settled(Outcome.ACCEPTED, reply_code=250), ["email.sent"], id="accepted"),
        pytest.param(settled(Outcome.UNKNOWN), ["email.unknown"], id="unknown"),
        pytest.param(settled(Outcome.SKIPPED, reason="replied"), ["email.skipped"], id="skipped"),
        pytest.param(settled(Outcome.POSTPONED, retry_at=1), [], id="postponed: nothing happened"),
        pytest.param(
            settled(Outcome.FAILED, fault="recipient", meaning="recipient_invalid"),
            ["email.failed", "bounce.hard"],
            id="failed: the recipient's fault",
        ),
        pytest.param(
            settled(Outcome.FAILED, fault="sender", meaning="policy"),
            ["email.failed"],
            id="failed: the sender's fault is no bounce",
        ),
        pytest.param(
            settled(Outcome.DEFERRED, fault="recipient", meaning="greylisted", retry_at=1),
            ["email.deferred"],
            id="deferred",
        ),
        pytest.param(
            settled(Outcome.DEFERRED, fault="recipient", meaning="mailbox_full", soft_bounce=True),
            ["email.deferred", "bounce.soft"],
            id="deferred: a soft bounce",
        ),
    ],
)
def test_the_events_that_follow_have_ids_that_repeat(fact: Settled, subjects: list[str]) -> None:
    said = announcements(ORIGIN, fact)
    assert [a.subject for a in said] == subjects
    assert [a.id for a in said] == [a.id for a in announcements(ORIGIN, fact)]
    assert len({a.id for a in said}) == len(said)
    for one in said:
        assert one.event.aggregate_id == ITEM.delivery_id


def test_events_of_two_attempts_differ() -> None:
    first = Settled(Item("d" * 32, "lead", "jo@x.test", 1), Outcome.UNKNOWN, 0)
    second = Settled(Item("d" * 32, "lead", "jo@x.test", 2), Outcome.UNKNOWN, 0)
    assert announcements(ORIGIN, first)[0].id != announcements(ORIGIN, second)[0].id


def test_events_carry_what_the_server_said() -> None:
    fact = settled(Outcome.ACCEPTED, author="a@fleet.test", mail_subject="Hi")
    (sent,) = announcements(ORIGIN, fact.with_reply(SmtpReply(250, "2.0.0 " + "x" * 5000)))
    assert isinstance(sent.event, EmailSent)
    assert (sent.event.reply_code, sent.event.enhanced_status) == (250, "2.0.0")
    assert len(sent.event.reply_text) == 1000
    assert (sent.event.step, sent.event.author, sent.event.attempt) == (1, "a@fleet.test", 2)
    failed, bounce = announcements(
        ORIGIN, settled(Outcome.FAILED, fault="recipient").with_reply(SmtpReply(550, "5.1.1 no"))
    )
    assert isinstance(failed.event, EmailFailed)
    assert isinstance(bounce.event, BounceHard)
    assert (bounce.event.diagnostic, bounce.event.observed) == ("smtp; 550 5.1.1 no", "smtp")
    (deferred,) = announcements(
        ORIGIN, settled(Outcome.DEFERRED, fault="connection", retry_at=1_800_000_001_000)
    )
    assert isinstance(deferred.event, EmailDeferred)
    assert deferred.event.retry_at.timestamp() == 1_800_000_001


def test_within_an_attempt_only_stronger_facts_win_and_later_attempts_always() -> None:
    order = [Outcome.POSTPONED, Outcome.UNKNOWN, Outcome.DEFERRED, Outcome.FAILED, Outcome.ACCEPTED]
    ranks = [settled(outcome).rank for outcome in order]
    assert ranks == sorted(set(ranks))
    later = Settled(Item("d", "l", "r", 3), Outcome.POSTPONED, 0)
    assert later.rank > max(ranks)


def test_ids_follow_from_what_they_stand_for() -> None:
    assert lead_id("jo@x.test") == lead_id("jo@x.test") != lead_id("al@x.test")
    ids = {delivery_id(c, lead, s) for c in ("a", "b") for lead in ("x", "y") for s in (0, 1)}
    assert len(ids) == 8
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)
    assert attempt_id("d", 1) != attempt_id("d", 2)


def test_a_message_id_is_on_the_authors_domain_and_cannot_be_guessed() -> None:
    one = message_id("d" * 32, "ann@Fleet.test", b"key")
    assert one == message_id("d" * 32, "other@fleet.test", b"key")
    assert one != message_id("d" * 32, "ann@fleet.test", b"another key")
    assert one.startswith("<" + "d" * 32 + ".")
    assert one.endswith("@fleet.test>")


def test_the_key_of_an_attempt_names_delivery_and_number() -> None:
    assert Batch("b", ORIGIN, (ITEM,), 0).items[0].key == attempt_id("d" * 32, 2)
