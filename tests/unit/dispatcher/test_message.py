"""Whatever a lead brings, the mail says exactly that and nothing else, and no header is made of it."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.domain.campaigns import Campaign, Step, Tracking, Variant
from dispatcher.domain.headers import reply_subject
from dispatcher.domain.message import Author, CannotFill, CompiledMessage, Letter, dot_stuffed
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys

KEYS = TokenKeys(KeyRing.parse("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
URL = "https://mail.example/" + "p" * 60
FOOTER = "\n\n-- \n1 Main {St}\nUnsubscribe: "
HEADERS = {
    "date", "from", "to", "subject", "message-id", "mime-version", "list-unsubscribe",
    "list-unsubscribe-post", "content-type", "content-transfer-encoding",
}  # fmt: skip

UNTRACKED = Tracking()


def compiled(variant: Variant, tracking: Tracking = UNTRACKED) -> CompiledMessage:
    campaign = Campaign(
        id="spring",
        name="Spring",
        senders=("s1",),
        steps=(Step(timedelta(0), (variant,)),),
        tracking=tracking,
        postal_address="1 Main {St}",
    )
    return CompiledMessage(campaign, 0, variant, KEYS, URL)


LETTER = Letter(
    delivery_id="0123456789abcdef" * 2,
    message_id="<0123456789abcdef0123456789abcdef.1@fleet.test>",
    author=Author("ann@fleet.test", "Ann Fleet"),
    recipient="jo@x.test",
    date=datetime(2026, 11, 21, 12, tzinfo=UTC),
    values={},
)
TEXT_ONLY = compiled(Variant("A", "Hello {{ v }}", body_text="{{ v }}"))
BOTH = compiled(
    Variant("A", "Hello", body_text="{{ v }}", body_html="<p title='{{ v }}'>{{ v }}</p>")
)


def parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


def part(mail: EmailMessage, subtype: str) -> str:
    body = mail.get_body((subtype,))
    assert body is not None
    return cast(str, body.get_content()).replace("\r\n", "\n")


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
HOSTILE = [
    "a\r\nBcc: victim@x.test", "a\nb", "a\rb", "\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", ".\r\n.\r\n",
    "\r\n.\r\nQUIT\r\n", ".", "💌👩‍👩‍👧", "مرحبا \u202e fdp", "=?utf-8?q?hi?=", "a =?x?b?YQ==?= b",
    " leading and trailing ", "{{ v }}{% raw %}", "<script>&amp;\"'", "é" * 500, "x" * 10_000,
    "From me", "--=_boundary--", "=\n", "\t", "a" * 75 + " ", "\ufeff", "\x7f",
]  # fmt: skip


def with_examples(test: Callable[[str], None]) -> Callable[[str], None]:
    for value in HOSTILE:
        test = example(value)(test)
    return test


@given(VALUES)
@with_examples
def test_the_subject_and_the_text_read_as_the_values_say(value: str) -> None:
    letter = LETTER._replace(values={"v": value})
    try:
        filled = TEXT_ONLY.fill(letter)
    except CannotFill as refused:
        _not_for_a_header(" ".join(f"Hello {value}".split()), str(refused))
        return
    mail = parsed(filled.content)
    assert {name.lower() for name in mail} == HEADERS
    assert mail["subject"] == filled.subject == " ".join(f"Hello {value}".split())
    assert part(mail, "plain").startswith(_clean(value) + FOOTER + URL)
    _well_formed(filled.content)


def _not_for_a_header(text: str, reason: str) -> None:
    assert "control character" in reason or "longer than" in reason
    controls = any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text)
    assert controls or len(text.encode()) > 998


@given(VALUES)
@with_examples
def test_text_and_html_read_as_the_values_say(value: str) -> None:
    filled = BOTH.fill(LETTER._replace(values={"v": value}))
    mail = parsed(filled.content)
    assert mail.get_content_type() == "multipart/alternative"
    assert [p.get_content_type() for p in mail.iter_parts()] == ["text/plain", "text/html"]
    assert part(mail, "plain").startswith(_clean(value) + FOOTER)
    html = part(mail, "html")
    assert html.count("<p ") == 1 + html.count('<p style="')  # the value made no tag
    assert set(re.findall(r"</?(\w+)", html)) <= {"p", "hr", "br", "a"}
    _well_formed(filled.content)


def _clean(value: str) -> str:
    """What a text body keeps of a value: no control characters, one form of line end."""
    kept = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", value)
    return kept.replace("\r\n", "\n").replace("\r", "\n")


def _well_formed(content: bytes) -> None:
    """7-bit, CRLF line ends only, no line over 998 octets, and dot-stuffing can be undone."""
    assert content.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", content) is None
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert _received(dot_stuffed(content)) == content


def _received(stuffed: bytes) -> bytes:
    """What a server makes of DATA (RFC 5321 §4.5.2); the final dot must be the only one."""
    body, dot, rest = stuffed.partition(b"\r\n.\r\n")
    assert dot
    assert rest == b""
    return b"\r\n".join(line[line.startswith(b".") :] for line in body.split(b"\r\n")) + b"\r\n"


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"", b".\r", b"\r\n", b". x"]), max_size=8))
def test_dots_at_line_starts_survive_the_transfer(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines if b"\n" not in line and line != b".\r")
    if content:
        assert _received(dot_stuffed(content)) == content


def test_a_content_without_a_last_line_end_gets_one() -> None:
    assert dot_stuffed(b".x") == b"..x\r\n.\r\n"


@pytest.mark.parametrize("tracking", [Tracking(), Tracking(opens=True, clicks=True)])
def test_one_click_unsubscribe_stands_on_one_raw_line(tracking: Tracking) -> None:
    """RFC 8058 §3.1: folded or encoded, mailbox providers do not find the address."""
    raw = compiled(Variant("A", "Hi", body_text="x"), tracking).fill(LETTER).content
    head = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    (line,) = [line for line in head if line.startswith(b"List-Unsubscribe:")]
    found = re.fullmatch(rb"List-Unsubscribe: <(https://[!-;=?-~]+)>", line)
    assert found is not None
    token = found[1].decode().removeprefix(f"{URL}/u/")
    content = KEYS.read(Purpose.UNSUBSCRIBE, token)
    assert content is not None
    assert content.delivery_id == LETTER.delivery_id
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head


@pytest.mark.seed("S175", "S196")
def test_links_and_the_pixel_are_filled_with_tokens_of_this_delivery() -> None:
    variant = Variant(
        "A", "Hi", "see https://a.test/x", '<a href="https://b.test/?a=1&amp;b=2">b</a><p>İ</BODY>'
    )
    message = compiled(variant, Tracking(opens=True, clicks=True))
    assert sorted(message.links.values()) == ["https://a.test/x", "https://b.test/?a=1&b=2"]
    mail = parsed(message.fill(LETTER).content)
    text, html = part(mail, "plain"), part(mail, "html")
    (in_text,) = re.findall(rf"{URL}/c/([\w-]+)", text)
    in_html, canary = re.findall(rf'href="{URL}/c/([\w-]+)"', html)
    hidden = KEYS.read(Purpose.CLICK, canary)
    assert hidden is not None
    assert hidden.link_id == message.canary not in message.links
    for token, url in ((in_text, "https://a.test/x"), (in_html, "https://b.test/?a=1&b=2")):
        content = KEYS.read(Purpose.CLICK, token)
        assert content is not None
        assert message.links[content.link_id] == url
    for body in (text, html):
        (leaving,) = re.findall(rf"{URL}/u/([\w-]+)", body)
        told = KEYS.read(Purpose.UNSUBSCRIBE, leaving)
        assert told is not None
        assert told.delivery_id == LETTER.delivery_id
        assert KEYS.read(Purpose.OPEN, leaving) is None
    assert re.search(rf'<p>İ<hr>.*<img src="{URL}/o/[\w-]+\.gif"[^>]*></BODY>', html, re.S)


@pytest.mark.seed("S164", "S174")
def test_without_tracking_links_stay_as_they_are_and_there_is_no_pixel() -> None:
    variant = Variant("A", "Hi", "https://a.test/x", '<a href="https://b.test/">b</a>')
    message = compiled(variant)
    assert message.links == {}
    assert message.canary == ""
    content = parsed(message.fill(LETTER).content)
    assert "https://a.test/x" in part(content, "plain")
    assert 'href="https://b.test/"' in part(content, "html")
    assert "<img" not in part(content, "html")
    assert "/c/" not in part(content, "html")
    assert content["X-Postfleet-Delivery"] is None


def test_a_follow_up_answers_the_mails_before_it() -> None:
    thread = tuple(f"<{n}{'x' * 60}@fleet.test>" for n in range(20))
    letter = LETTER._replace(thread=thread, reply_subject="Re: Grüße")
    mail = parsed(compiled(Variant("A", "", body_text="x")).fill(letter).content)
    assert mail["subject"] == "Re: Grüße"
    assert mail["in-reply-to"].split() == [thread[-1]]
    assert mail["references"].split() == list(thread)


@pytest.mark.parametrize(
    "name", ["Ann", 'A "n" \\ n', "Änn 💌", "Doe, Ann; x", "ä" * 120, "a" * 256]
)
@pytest.mark.seed("S14")
def test_the_display_name_of_the_sender_is_in_the_from_field(name: str) -> None:
    raw = TEXT_ONLY.fill(
        LETTER._replace(values={"v": "x"}, author=Author("ann@fleet.test", name))
    ).content
    # compat32: the newer parser puts spaces between adjacent encoded words (RFC 2047 §6.2).
    shown, address = parseaddr(message_from_bytes(raw)["from"].replace("\r\n", ""))
    assert (str(make_header(decode_header(shown))), address) == (name, "ann@fleet.test")


@pytest.mark.parametrize("name", ["a\r\nBcc: x@y.test", "a\x00", "a\x0b", "a\u2028", "a" * 257])
def test_a_display_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    letter = LETTER._replace(values={"v": "x"}, author=Author("ann@fleet.test", name))
    with pytest.raises(CannotFill, match="display_name"):
        TEXT_ONLY.fill(letter)


def test_a_field_that_the_lead_lacks_is_named() -> None:
    with pytest.raises(CannotFill, match="'v'"):
        TEXT_ONLY.fill(LETTER)


@pytest.mark.parametrize(
    ("first", "expected"),
    [("Hello", "Re: Hello"), ("Re: Hello", "Re: Hello"), ("RE:x", "RE:x"), ("", "")],
)
def test_an_answer_is_marked_once(first: str, expected: str) -> None:
    assert reply_subject(first) == expected
