"""Every mail of tests/data/inbound is understood as its line in expected.jsonl says.

A new format is one file there and one line; only the keys that the line has are compared.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from inbox_watcher.domain.understand import understand
from inbox_watcher.explain import as_json, main

_MAILS = Path(__file__).parents[2] / "data" / "inbound"
_EXPECTED = [json.loads(line) for line in (_MAILS / "expected.jsonl").read_text().splitlines()]


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        return all(_same(value, found.get(key)) for key, value in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(_same, expected, found))
    return bool(expected == found)


@pytest.mark.seed("S187", "S188", "S192")
@pytest.mark.parametrize("expected", _EXPECTED, ids=lambda expected: expected["file"])
def test_a_mail_is_understood_as_expected(expected: dict[str, Any]) -> None:
    raw = (_MAILS / expected["file"]).read_bytes()
    found = as_json(expected["file"], understand(raw, frozenset({"max@fleet.example"})))
    for key, value in expected.items():
        assert _same(value, found[key]), (key, found["why"], found[key])


def test_every_mail_of_the_corpus_has_its_line() -> None:
    named = {expected["file"] for expected in _EXPECTED}
    assert {file.name for file in _MAILS.glob("*.eml")} == named
    assert len(named) >= 300


def test_explain_prints_a_json_object_for_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(_MAILS / "dsn-gmail.eml"), str(_MAILS / "reply-gmail-top.eml")]
    assert main(["--json", *files]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["file"], first["kind"], second["kind"]) == (files[0], "bounce", "reply")
    wanted = {"file", "kind", "recipients", "original_message_id", "reply_text", "auto_reason"}
    assert wanted <= first.keys()


def test_explain_tells_of_a_file_that_cannot_be_read_and_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--json", "/nowhere.eml", str(_MAILS / "empty.eml")]) == 1
    output = capsys.readouterr()
    assert "/nowhere.eml" in output.err
    assert '"kind":"unrelated"' in output.out


_MULTIPART = b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n"
_BOMBS = {
    "ten thousand parameters": b"Content-Type: text/plain" + b"; a=b" * 20_000 + b"\n\nx",
    "two hundred thousand parts": b"Content-Type: multipart/mixed; boundary=x\n\n"
    + b"--x\n\na\n" * 200_000,
    "three thousand levels": b"".join(_MULTIPART % (n, n) for n in range(3000)),
    "a header of one megabyte": b"Subject: " + b"a" * 1_000_000 + b"\n\nx",
    "folded for ever": b"Subject: a\n" + b" b\n" * 300_000 + b"\nx",
    "a hundred thousand fields": b"X: y\n" * 100_000 + b"\nx",
    "no end of recipients": b"To: " + b"a@b.example, " * 30_000 + b"\n\nx",
    "nested comments": b"From: " + b"(" * 50_000 + b"\n\nx",
    "encoded words without end": b"Subject: " + b"=?utf-8?B?YWFh?= " * 50_000 + b"\n\nx",
    "a body of brackets": b"In-Reply-To: <a@b>\n\n" + b"<" * 500_000,
    "html of open tags": b"Content-Type: text/html\nIn-Reply-To: <a@b>\n\n" + b"<div><b " * 60_000,
    "html of entities": b"Content-Type: text/html\nIn-Reply-To: <a@b>\n\n" + b"&#x41;<" * 60_000,
    "html comments": b"Content-Type: text/html\nIn-Reply-To: <a@b>\n\n" + b"<!--" * 60_000,
    "quotes without end": b"In-Reply-To: <a@b>\n\n" + b"> a\n" * 200_000,
    "on on on": b"In-Reply-To: <a@b>\n\n" + b"On " * 200_000 + b"wrote:",
    "underscores": b"In-Reply-To: <a@b>\n\n" + b"_" * 300_000 + b"x",
    "dashes": b"From: mailer-daemon@x.y\nSubject: failure notice\n\n" + b"-" * 300_000 + b"x",
    "words of an account": b"From: mailer-daemon@x.y\nSubject: failure notice\n\n"
    + b"account a " * 30_000,
    "base64 rubbish": b"Content-Transfer-Encoding: base64\nIn-Reply-To: <a@b>\n\n"
    + b"@A=" * 300_000,
    "a report of groups": b"Content-Type: multipart/report; boundary=x\n\n--x\n"
    b"Content-Type: message/delivery-status\n\n"
    + b"Final-Recipient: rfc822; a@b.c\nAction: failed\n\n"
    * 5_000,
    "an odd charset": b"Content-Type: text/plain; charset=idna\nIn-Reply-To: <a@b>\n\n"
    + b"a" * 90_000,
    "a notification of brackets": b"From: no-reply@sns.x\n\n" + b'{"notificationType":' * 30_000,
    "message in message": b"Content-Type: message/rfc822\n\n" * 5_000,
}


@pytest.mark.parametrize("raw", _BOMBS.values(), ids=_BOMBS.keys())
def test_a_mail_built_to_hurt_is_understood_within_a_second(raw: bytes) -> None:
    began = time.process_time()
    mail = understand(raw)
    assert time.process_time() - began < 1
    assert mail.kind in ("unrelated", "reply", "bounce", "delay")
