"""`postfleet campaigns`, `send` and `why`: what they ask the platform, and what people read."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.periods import instant_to_come
from postfleet_cli.why import of_delivery, of_person
from tests.unit.cli.conftest import ScriptedPlatform

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_campaign_is_asked_for_question_by_question(scripted: ScriptedPlatform) -> None:
    senders = [
        {"id": "s1", "email_address": "ann@one.test", "status": "ready"},
        {"id": "s2", "email_address": "bob@one.test", "status": "ready"},
    ]
    scripted.answers["GET", "/sender-accounts"] = {"items": senders, "next_cursor": None}
    scripted.answers["POST", "/campaigns"] = {"id": "c1", "status": "draft"}
    answers = [
        *("Spring", "bob@one.test, sales", "Hello", "Hi {{ name }}", "", "Bye", "."),
        *("y", "2.5", "not_replied", "", "Again", ".", "n"),
        *("y", "n", "y", "Europe/Paris", "09:00-17:00", "y", "1 Main St"),
    ]
    printed = scripted.run("campaigns", "create", "-i", text="\n".join(answers) + "\n")
    assert json.loads(scripted.requests[-1].content) == {
        "name": "Spring",
        "senders": ["s2", "sales"],
        "steps": [
            {"delay": 0, "subject": "Hello", "body_text": "Hi {{ name }}\n\nBye\n"},
            {
                "delay": 216_000.0,
                "condition": "not_replied",
                "subject": "",
                "body_text": "Again\n",
            },
        ],
        "tracking": {"clicks": True, "opens": False},
        "check_reply": True,
        "schedule": {
            "timezone": "Europe/Paris",
            "windows": [["09:00", "17:00"]],
            "days": [0, 1, 2, 3, 4],
        },
        "postal_address": "1 Main St",
    }
    assert "next: postfleet campaigns import c1" in printed


@pytest.mark.parametrize("words", [[], ["-i", "file"]])
def test_create_takes_either_a_file_or_questions(
    scripted: ScriptedPlatform, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("{}")
    given = [str(tmp_path / word) if word == "file" else word for word in words]
    assert "--interactive" in scripted.run("campaigns", "create", *given, code=2)
    assert scripted.requests == []


def test_a_file_that_is_no_json_is_refused_before_anything_is_sent(
    scripted: ScriptedPlatform, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_text("{name: Spring}")
    with pytest.raises(Refused, match="no JSON") as refused:
        scripted.run("campaigns", "create", str(tmp_path / "c.json"))
    assert refused.value.code is ExitCode.REFUSED
    assert scripted.requests == []


def test_lists_pass_their_filters_on_and_fit_the_terminal(scripted: ScriptedPlatform) -> None:
    long = "A campaign [with] a name that is far too long for one line of the terminal " * 2
    items = [{"id": "c" * 32, "name": long, "status": "running", "steps": [1, 2]}]
    scripted.answers["GET", "/campaigns"] = {"items": items, "next_cursor": None}
    printed = scripted.run("campaigns", "list", "--status", "running", "--name", "far")
    params = scripted.requests[0].url.params
    assert (params["status"], params["name"]) == ("running", "far")
    assert max(map(len, printed.splitlines())) <= 80
    assert "c" * 32 in printed
    assert "[with]" in printed


def figures(name: str, *numbers: int) -> dict[str, Any]:
    names = ("sent", "opened", "clicked", "replied", "bounced", "failed")
    return {"name": name, **dict(zip(names, numbers, strict=True))}


STATS: dict[str, Any] = {
    "campaign_id": "c1",
    "status": "running",
    "leads": {"active": 9, "replied": 1},
    "deliveries": {"accepted": 10},
    "steps": [
        {
            "step": 0,
            "condition": "always",
            "skipped_by_condition": 3,
            "winner": "B",
            "variants": [figures("A", 100_000, 25_000, 1, 0, 0, 0), figures("B", 0, 0, 0, 0, 0, 0)],
        }
    ],
}


def test_stats_show_each_variant_and_fit_the_terminal(scripted: ScriptedPlatform) -> None:
    scripted.answers["GET", "/campaigns/c1/stats"] = STATS
    printed = scripted.run("campaigns", "stats", "c1")
    assert "leads: 9 active, 1 replied" in printed
    assert "step 0: variant B has won" in printed
    assert "25000 25%" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert json.loads(scripted.run("campaigns", "stats", "c1", "--json")) == STATS


def test_a_preview_prints_the_mail(scripted: ScriptedPlatform) -> None:
    mail = {
        "step": 1,
        "variant": "A",
        "subject": "Hello",
        "headers": {"Subject": "Hello", "To": "a@b.test"},
        "text": "Hi [you]",
        "attachments": [{"filename": "offer.pdf"}],
        "message": "Subject: Hello\r\n\r\nHi",
    }
    scripted.answers["GET", "/campaigns/c1/preview"] = lambda _: _json(mail)
    words = ("campaigns", "preview", "c1", "--lead", "a@b.test", "--step", "1")
    assert scripted.run(*words).splitlines() == [
        "step 1, variant A",
        "Subject: Hello",
        "To: a@b.test",
        "attached: offer.pdf",
        "",
        "Hi [you]",
    ]
    assert dict(scripted.requests[0].url.params) == {"lead": "a@b.test", "step": "1"}
    assert "\nHi" in scripted.run(*words, "--source")
    assert json.loads(scripted.run(*words, "--json")) == mail


def test_a_test_mail_goes_to_the_address_that_was_said(scripted: ScriptedPlatform) -> None:
    scripted.answers["POST", "/campaigns/c1/test-send"] = {"delivery_id": "d1"}
    words = ("campaigns", "test", "c1", "--to", "me@b.test", "--variant", "B")
    assert "delivery_id: d1" in scripted.run(*words)
    sent = json.loads(scripted.requests[0].content)
    assert sent == {"to": "me@b.test", "step": 0, "variant": "B"}


def _json(document: dict[str, Any]) -> Any:
    return httpx.Response(200, json=document)


def test_a_draft_is_deleted_only_after_a_yes(scripted: ScriptedPlatform) -> None:
    scripted.answers["DELETE", "/campaigns/c1"] = lambda _: httpx.Response(204)
    scripted.run("campaigns", "delete", "c1", text="n\n", code=1)
    assert scripted.requests == []
    printed = scripted.run("campaigns", "delete", "c1", "--yes", "--json")
    assert json.loads(printed) == {"id": "c1", "status": "deleted"}


def test_an_empty_file_of_leads_is_refused_before_anything_is_sent(
    scripted: ScriptedPlatform, tmp_path: Path
) -> None:
    (tmp_path / "leads.csv").write_bytes(b"")
    with pytest.raises(Refused, match="is empty"):
        scripted.run("campaigns", "import", "c1", str(tmp_path / "leads.csv"))
    assert scripted.requests == []


def test_leads_in_json_are_sent_as_what_they_are(
    scripted: ScriptedPlatform, tmp_path: Path
) -> None:
    scripted.answers["POST", "/campaigns/c1/leads"] = {"imported": 1, "duplicates": 0, "invalid": 0}
    (tmp_path / "leads.json").write_text('[{"email": "a@b.test"}]')
    scripted.run("campaigns", "import", "c1", str(tmp_path / "leads.json"))
    assert scripted.requests[0].headers["content-type"] == "application/json"


def test_send_sends_what_was_said_and_nothing_else(
    scripted: ScriptedPlatform, tmp_path: Path
) -> None:
    deliveries = [{"id": "m1", "recipient": "a@b.test"}, {"id": "m1-2", "recipient": "c@d.test"}]
    scripted.answers["POST", "/messages"] = {"id": "m1", "deliveries": deliveries}
    (tmp_path / "offer.pdf").write_bytes(b"%PDF")
    printed = scripted.run(
        *("send", "--to", "a@b.test", "--to", "c@d.test", "--from", "s1", "--subject", "Hello"),
        *("--text", "-", "--attach", str(tmp_path / "offer.pdf"), "--header", "X-Case: 7:8"),
        *("--idempotency-key", "k1"),
        text="How are you?\n",
    )
    assert json.loads(scripted.requests[0].content) == {
        "to": ["a@b.test", "c@d.test"],
        "from": "s1",
        "subject": "Hello",
        "text": "How are you?\n",
        "category": "transactional",
        "headers": {"X-Case": "7:8"},
        "attachments": [
            {
                "filename": "offer.pdf",
                "content": base64.b64encode(b"%PDF").decode(),
                "content_type": "application/pdf",
            }
        ],
    }
    assert scripted.requests[0].headers["idempotency-key"] == "k1"
    assert printed.splitlines() == ["m1  a@b.test", "m1-2  c@d.test"]


def test_send_fills_a_template_of_the_version_that_is_named(scripted: ScriptedPlatform) -> None:
    scripted.answers["POST", "/messages"] = {"id": "m1", "deliveries": []}
    mail = ("send", "--to", "a@b.test", "--from", "s1")
    scripted.run(*mail, "--template", "welcome:3", "--data", "name=Ada=L", "--data", "city=")
    assert json.loads(scripted.requests[0].content) == {
        "to": ["a@b.test"],
        "from": "s1",
        "category": "transactional",
        "template_id": "welcome",
        "template_version": 3,
        "data": {"name": "Ada=L", "city": ""},
    }
    for words in (
        ["--template", "welcome:x"],
        ["--template", "w", "--data", "name"],
        ["--data", "a=b"],
    ):
        with pytest.raises(Refused) as refused:
            scripted.run(*mail, *words)
        assert refused.value.code is ExitCode.USAGE


def test_templates_are_kept_changed_and_shown(scripted: ScriptedPlatform, tmp_path: Path) -> None:
    kept = {"id": "w", "version": 2, "name": "W", "subject": "Hi", "fields": ["name"]}
    scripted.answers["POST", "/templates"] = {**kept, "version": 1}
    scripted.answers["PATCH", "/templates/w"] = kept
    scripted.answers["GET", "/templates"] = {"items": [kept], "next_cursor": None}
    scripted.answers["POST", "/templates/w/preview"] = {"subject": "Hi Ada"}
    (tmp_path / "w.txt").write_text("Hi {{ name }}")
    made = scripted.run(
        "templates", "create", "w", "--subject", "Hi", "--text", str(tmp_path / "w.txt")
    )
    assert made == "w version 1; fields: name\n"
    body = {"id": "w", "name": "w", "subject": "Hi", "text": "Hi {{ name }}"}
    assert json.loads(scripted.requests[-1].content) == body
    assert "version 2" in scripted.run("templates", "change", "w", "--subject", "Hello")
    assert json.loads(scripted.requests[-1].content) == {"subject": "Hello"}
    assert "name" in scripted.run("templates", "list")
    assert "Hi Ada" in scripted.run(
        "templates", "preview", "w", "--data", "name=Ada", "--version", "2"
    )
    assert scripted.requests[-1].url.params["version"] == "2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW + timedelta(hours=2)),
        ("90s", NOW + timedelta(seconds=90)),
        ("2026-12-01T10:00:00+01:00", datetime(2026, 12, 1, 9, tzinfo=UTC)),
    ],
)
def test_a_time_to_come_is_read(text: str, expected: datetime) -> None:
    assert instant_to_come(text, NOW) == expected


DELIVERY: dict[str, Any] = {
    "id": "d1",
    "recipient": "a@b.test",
    "state": "deferred",
    "campaign_id": "c1",
    "step": 1,
    "variant": "B",
    "next_attempt_at": "2026-11-21T12:05:00.000Z",
    "opened_at": None,
}
DECISIONS: dict[str, Any] = {
    "next_attempt_at": "2026-11-21T12:05:00.000Z",
    "plans": [
        {
            "planned_at": "2026-11-21T12:00:00.000Z",
            "sender_id": "s1",
            "eligible": ["s1", "s3"],
            "excluded": [{"sender_id": "s2", "rule": "limit", "detail": "50 of 50 used today"}],
        }
    ],
    "attempts": [
        {
            "attempt": 1,
            "at": "2026-11-21T12:00:01.000Z",
            "outcome": "deferred",
            "reply_code": 451,
            "reply_text": "4.7.1 greylisted",
            "category": "greylisted",
            "reason": "",
            "retry_at": "2026-11-21T12:05:00.000Z",
        }
    ],
}


def test_why_tells_what_happened_by_which_rule_and_when_it_goes(
    scripted: ScriptedPlatform,
) -> None:
    scripted.answers["GET", "/deliveries/d1"] = DELIVERY
    scripted.answers["GET", "/deliveries/d1/decisions"] = DECISIONS
    assert scripted.run("why", "d1").splitlines() == [
        "d1 to a@b.test: deferred",
        "  step 2 of campaign c1, variant B",
        "  2026-11-21 12:00:00  planned for s1, one of 2 senders that could",
        "      not s2: limit, 50 of 50 used today",
        "  2026-11-21 12:00:01  attempt 1: deferred; the server said 451 4.7.1 greylisted; "
        "greylisted",
        "      to be looked at again at 2026-11-21 12:05:00",
        "  it goes at 2026-11-21 12:05:00 at the earliest",
    ]
    both = json.loads(scripted.run("why", "d1", "--json"))
    assert both == {"delivery": DELIVERY, "decisions": DECISIONS}


@pytest.mark.parametrize(
    ("state", "last"),
    [
        ("transmitting", "  it goes as soon as a worker has taken it"),
        ("unknown", "  the connection broke after the mail was handed over (RFC 1047)"),
        ("accepted", "  2026-11-21 13:00:00  opened"),
    ],
)
def test_the_account_ends_with_what_is_to_come(state: str, last: str) -> None:
    delivery = {**DELIVERY, "state": state, "opened_at": "2026-11-21T13:00:00Z"}
    *_, line = of_delivery(delivery, {"plans": [], "attempts": []})
    assert line.startswith(last)


def lead(**more: Any) -> dict[str, Any]:
    running = {"campaign": "Spring", "campaign_status": "running", "state": "active"}
    return {"campaign_id": "c1", **running, "next_step": 1, "due_at": None, **more}


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (lead(), "step 2 is next, now"),
        (
            lead(due_at="2026-11-23T09:00:00Z"),
            "step 2 is next, at 2026-11-23 09:00:00 at the earliest",
        ),
        (lead(campaign_status="paused"), "step 2 is next, but the campaign is paused"),
        (lead(state="replied"), "the lead is replied, nothing more is sent"),
        (lead(next_step=None), "it has had the last step"),
    ],
)
def test_a_person_s_standing_is_told_for_each_campaign(standing: dict[str, Any], line: str) -> None:
    found = {"recipient": "a@b.test", "suppressed": None, "leads": [standing], "items": []}
    assert list(of_person(found)) == ["a@b.test", f"  campaign Spring: {line}"]


def test_an_address_that_nobody_knows_is_said_to_be_one() -> None:
    found = {"recipient": "a@b.test", "suppressed": "complaint", "leads": [], "items": []}
    suppressed, nobody = list(of_person(found))[1:]
    assert "suppressed: complaint" in suppressed
    assert "nobody knows this address" in nobody
