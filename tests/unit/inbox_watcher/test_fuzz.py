"""Nothing that arrives stops the watcher: any bytes are understood, quickly, without an exception."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind, Understood
from postfleet.smtp_reply import Severity, judge

_CORPUS = [
    file.read_bytes()
    for file in sorted((Path(__file__).parents[2] / "data" / "inbound").glob("*.eml"))
]
_SETTINGS = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
_PIECES = (
    b"Content-Type: multipart/report; boundary=x\n",
    b"Content-Type: message/delivery-status\n\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n",
    b"Subject: =?utf-8?B?4pyT?= =?x?Q?=FF?=\n",
    b"Final-Recipient: rfc822;",
    b"Action: failed\nStatus: 5.1.1\n",
    b"From: MAILER-DAEMON@x\n",
    b"Date: Fri, 99 Zzz 0000 99:99:99 +9999\n",
    b"On 1 Jan 2026 X <a@b.c> wrote:\n> ",
    b"until 31 February 99999\n",
    b"\r",
    b"\x00",
    b"--x\n",
    b"--x--\n",
    b"\n\n",
    b"<div class='gmail_quote'>",
    "до 30 ноября".encode(),
    b"\xff\xfe\xed\xa0\x80",
)


def _check(raw: bytes) -> Understood:
    began = time.thread_time()
    mail = understand(raw)
    assert time.thread_time() - began < 1
    assert mail.kind in Kind
    assert mail.why
    assert all(r.severity is None or r.severity in Severity for r in mail.recipients)
    assert mail == understand(raw), "the same bytes are the same mail"
    return mail


@_SETTINGS
@given(st.binary(max_size=3000))
def test_any_bytes_are_understood(raw: bytes) -> None:
    _check(raw)


@_SETTINGS
@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=20)), max_size=60))
def test_any_heap_of_pieces_of_mails_is_understood(pieces: list[bytes]) -> None:
    _check(b"".join(pieces))


@_SETTINGS
@given(st.sampled_from(_CORPUS), st.data())
def test_a_damaged_mail_is_understood(raw: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    put = data.draw(st.one_of(st.binary(max_size=40), st.sampled_from(_PIECES)))
    _check(raw[:start] + put + raw[end:])


_LINE = re.compile(rb"[^\n]*\n?")


@_SETTINGS
@given(st.sampled_from(_CORPUS), st.sampled_from(_CORPUS), st.data())
def test_a_mail_whose_lines_were_shuffled_doubled_lost_and_mixed_with_anothers_is_understood(
    raw: bytes, other: bytes, data: st.DataObject
) -> None:
    """Keeps the structure of mails: fields, boundaries, groups of a report, in the wrong places."""
    lines, foreign = _LINE.findall(raw), _LINE.findall(other)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(("lose", "double", "move", "foreign", "lengthen"))):
            case "lose":
                del lines[at : at + data.draw(st.integers(1, 5))]
            case "double":
                lines[at:at] = lines[at : at + 3] * data.draw(st.integers(1, 200))
            case "move":
                lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "foreign":
                start = data.draw(st.integers(0, len(foreign) - 1))
                lines[at:at] = foreign[start : start + 20]
            case "lengthen":
                lines[at] = lines[at].rstrip(b"\n") * data.draw(st.integers(1, 2000)) + b"\n"
        lines = lines or [b"\n"]
    _check(b"".join(lines))


@_SETTINGS
@given(st.text(max_size=2500))
def test_any_words_of_a_server_are_judged(words: str) -> None:
    verdict = judge("", words)
    assert verdict.severity in Severity
    assert verdict.reason


@pytest.mark.parametrize("cut", [1, 10, 100, 1000])
def test_a_mail_of_which_only_the_beginning_came_is_understood(cut: int) -> None:
    kinds = {_check(raw[:-cut] if cut < len(raw) else b"").kind for raw in _CORPUS}
    assert len(kinds) > 3 or cut == 1000
