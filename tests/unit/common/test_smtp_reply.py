"""Every reply in tests/data/smtp_replies means what its line says."""

import io
import json
import time
from pathlib import Path

import pytest

from postfleet.smtp import SmtpReply
from postfleet.smtp_reply import Severity, classify, judge, main
from postfleet.smtp_reply_texts import CATEGORIES, CODE_RULES, STATUS_RULES, TEXT_RULES

_FILE = Path(__file__).parents[2] / "data" / "smtp_replies" / "replies.tsv"
_LINES = [line.split("\t") for line in _FILE.read_text().splitlines() if line[:1] != "#"]


@pytest.mark.seed("S187", "S188", "S192")
@pytest.mark.parametrize(("severity", "category", "reply"), _LINES, ids=[x[2][:60] for x in _LINES])
def test_a_reply_means(severity: str, category: str, reply: str) -> None:
    found = judge("", reply)
    assert (found.severity, found.category) == (severity, category), found.reason


def test_every_category_is_documented_and_has_a_reply_that_shows_it() -> None:
    shown = {category for _, category, _ in _LINES}
    named = {rule.category for rule in TEXT_RULES}
    named |= {category for category, _ in STATUS_RULES.values()}
    named |= {category for category, _ in CODE_RULES.values()}
    assert named | {"other"} == set(CATEGORIES)
    assert shown == set(CATEGORIES)
    assert all(Severity(severity) and meaning for severity, meaning in CATEGORIES.values())


@pytest.mark.parametrize(
    ("phase", "severity", "category"),
    [
        ("rcpt", "hard", "unknown_user"),
        ("mail", "policy", "sender_rejected"),
        ("connect", "policy", "reputation"),
        ("dot", "policy", "policy"),
        (None, "hard", "unknown_user"),
    ],
)
def test_where_the_words_say_nothing_the_phase_decides(
    phase: str | None, severity: str, category: str
) -> None:
    found = classify(SmtpReply(550, "sorry, ann@lead.example"), phase)
    assert (found.severity, found.category) == (severity, category)


@pytest.mark.parametrize("code", [421, 450, 451, 452])
def test_a_transient_reply_is_never_hard(code: int) -> None:
    assert classify(SmtpReply(code, "5.1.1 User unknown"), "rcpt").severity is Severity.SOFT


@pytest.mark.parametrize(
    "reply",
    [
        "550 " + "user " * 100_000,
        "550 " + "a@" * 100_000,
        "550 " + "address " * 300,
        "550 " + "mailbox is " * 300,
        "550 " + "not " * 500 + "x" * 500,
        "550 " + "." * 2000,
        "5." * 1000,
    ],
    ids=lambda reply: reply[:20],
)
def test_a_reply_built_to_hurt_costs_little(reply: str) -> None:
    began = time.process_time()
    judge("", reply)
    assert time.process_time() - began < 0.5


def test_the_command_reads_replies_and_prints_an_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("550 5.1.1 User unknown\n\n452 4.2.2 Mailbox full\n")
    )
    assert main(["--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"severity": "hard", "category": "unknown_user"},
        {"severity": "soft", "category": "other"},
        {"severity": "soft", "category": "mailbox_full"},
    ]
    assert main([]) == 2
