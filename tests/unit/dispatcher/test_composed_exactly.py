"""A compiled mail reads exactly like one that the standard library builds from the same words."""

import binascii
import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.utils import format_datetime
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.attachments import attachment
from dispatcher.domain.campaigns import Campaign, Step, Tracking, Variant
from dispatcher.domain.message import (
    Author,
    BadPart,
    CannotFill,
    CompiledMessage,
    Filled,
    Letter,
    dot_stuffed,
    for_transfer,
)
from dispatcher.domain.quoted_printable import clean, encode
from dispatcher.domain.spintax import BadTemplate
from dispatcher.domain.templates import Template, liquid_source, template
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys

KEYS = TokenKeys(KeyRing.parse("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
URL = "https://mail.example"
LOGO, TERMS = b"\x89PNG\r\n.\r\n" * 9, b"%PDF." * 40
FILES = (
    attachment("logo.png", "image/png", LOGO, "logo"),
    attachment("Bedingungen für 💌.pdf", "application/pdf", TERMS),
)
CONTENT = {FILES[0].id: LOGO, FILES[1].id: TERMS}
LETTER = Letter(
    delivery_id="0123456789abcdef" * 2,
    message_id="<0123456789abcdef0123456789abcdef.1@fleet.test>",
    author=Author("ann@fleet.test", "Ann"),
    recipient="jo@x.test",
    date=datetime(2026, 11, 21, 12, tzinfo=UTC),
    values={},
)
#: Between places: edges of lines, dots, "From ", what must be escaped, and nothing at all.
_PIECES = ["a", "Hello ", " ", "\t", "\n", "\r\n", ".", "From ", "=", "é", "💌", "x" * 40, "x" * 75,
         "{", "}", "|", "\\{", "\\|", "{{ v }}", "{{ w }}", "{{v}}", '{{ n | default: "you=" }}',
         "{{ n | default: 'é.\n' }}", "{ {{ v }}|b\n|{c|.d} }", "{|{{ w }}}", "{x|y}"]  # fmt: skip
_LIQUID = ["{{ v | upcase }}", "{% if w %}<i>{% else %}.{% endif %}", "{% raw %}{{{% endraw %}"]
WORDS = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)
ANY_WORDS = st.lists(st.sampled_from([*_PIECES, *_LIQUID]), max_size=12).map("".join)
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    st.text(alphabet=" .F\t\n\r=a&<\"'é", max_size=90),
    st.sampled_from(
        [
            "From me",
            "x" * 10_000,
            "é" * 5000,
            "{{ w }}",
            "{a|b}",
            "\u202e\u0645\u0631",
            ".\r\n.\r\n",
        ]
    ),
)


def compiled(variant: Variant, **more: Any) -> CompiledMessage:
    files = more.pop("attachments", ())
    campaign = Campaign(
        id="spring",
        name="Spring",
        senders=("s1",),
        steps=(Step(timedelta(0), (variant,), attachments=files),),
        postal_address="1 Main {St|Rd}",
        **more,
    )
    return CompiledMessage(campaign, 0, variant, KEYS, URL, CONTENT)


def standard(subject: str, text: str, html: str) -> EmailMessage:
    """The same mail as the standard library's documentation shows it."""
    optout = f"{URL}/u/{KEYS.make(Purpose.UNSUBSCRIBE, LETTER.delivery_id)}"
    mail = EmailMessage(policy=policy.SMTP.clone(max_line_length=998))
    mail["Date"], mail["From"] = format_datetime(LETTER.date), '"Ann" <ann@fleet.test>'
    mail["To"], mail["Subject"], mail["Message-ID"] = LETTER.recipient, subject, LETTER.message_id
    mail["List-Unsubscribe"] = f"<{optout}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(
        f"{text}\n\n-- \n1 Main {{St|Rd}}\nUnsubscribe: {optout}\n", cte="quoted-printable"
    )
    footer = (
        f'<hr><p style="font-size:12px;color:#666">1 Main &#123;St&#124;Rd&#125;<br>'
        f'<a href="{optout}">Unsubscribe</a></p>\n'
    )
    mail.add_alternative(html + footer, subtype="html", cte="quoted-printable")
    rich = cast(list[EmailMessage], mail.get_payload())[1]
    rich.add_related(LOGO, "image", "png", cid="<logo>", filename="logo.png", disposition="inline")
    mail.add_attachment(TERMS, "application", "pdf", filename=FILES[1].name)
    return mail


def reading(octets: bytes) -> tuple[dict[str, str], list[tuple[str, str | None, Any]]]:
    """What a recipient gets: every field, and each part's type, name and content."""
    mail = message_from_bytes(octets, policy=policy.default)
    for part in mail.walk():
        assert not part.defects
    fields = {k.lower(): str(v) for k, v in mail.items() if k.lower() != "content-type"}
    return fields, [_part(part) for part in mail.walk()]


def _part(part: MIMEPart) -> tuple[str, str | None, Any]:
    kind, name = part.get_content_type(), part.get_filename()
    if part.is_multipart():
        return kind, name, None
    content = part.get_content()
    if isinstance(content, str):
        return kind, name, content.replace("\r\n", "\n")
    return kind, part["content-id"], (name, content)


@settings(max_examples=60, deadline=None)
@given(ANY_WORDS, ANY_WORDS, VALUES, VALUES)
@example("{{ v }}", "<b>{{ v }}</b>", "a\r\nBcc: x@y.test", "\n")
@example("x {{ v }}\ny", "{{ w }}", "", " ")
@example("." + "{{ v }}", "{ {{ v }}|b\n|{c|.d} }", ".", "From ")
def test_it_parses_to_what_the_standard_library_builds(
    text: str, html: str, v: str, w: str
) -> None:
    values = {"v": v, "w": w}
    try:
        message = compiled(Variant("A", "Hi", f".{text}.", f"<p>{html}"), attachments=FILES)
    except BadPart:
        with pytest.raises(BadTemplate):
            template(f".{text}."), template(f"<p>{html}", html=True)
        return
    octets = message.fill(LETTER._replace(values=values)).content
    cleaned = {name: clean(value) for name, value in values.items()}
    said = template(clean(f".{text}.")).render(cleaned, LETTER.delivery_id)
    rich = template(clean(f"<p>{html}"), html=True).render(cleaned, LETTER.delivery_id)
    assert reading(octets) == reading(standard("Hi", said, rich).as_bytes())
    _well_formed(octets)


def _well_formed(octets: bytes) -> None:
    """7-bit, CRLF only, no long line but in the header, and nothing to stuff."""
    head, _, body = octets.partition(b"\r\n\r\n")
    assert octets.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", octets) is None
    assert max(map(len, body.split(b"\r\n"))) <= 100
    assert max(map(len, head.split(b"\r\n"))) <= 998
    assert dot_stuffed(octets) == octets + b".\r\n"
    assert not re.search(rb"^From ", body, re.MULTILINE)


@settings(deadline=None)
@given(WORDS, VALUES, VALUES, st.booleans(), st.text(alphabet="ab0", max_size=3))
def test_liquid_and_the_quick_way_say_the_same(
    source: str, v: str, w: str, html: bool, seed: str
) -> None:
    try:
        quick = template(clean(source), html=html)
    except BadTemplate:
        return
    assert quick.tree is not None
    slow = _by_liquid(quick)
    values = {"v": clean(v), "w": clean(w)}
    assert quick.render(values, seed) == slow.render(values, seed)
    if "v" in quick.required:
        for one in (quick, slow):
            with pytest.raises(BadTemplate, match=r"'[vw]' is undefined"):
                one.render({}, seed=_drawing_the_field(quick))


def _by_liquid(quick: Template) -> Template:
    slow = Template(quick.nodes, html=quick.html)
    slow.tree, slow._liquid = None, slow._parsed(liquid_source(quick.nodes))
    return slow


def _drawing_the_field(text: Template) -> str:
    """A seed whose choices show the field that is missing."""
    for seed in map(str, range(200)):
        try:
            text.render({}, seed)
        except BadTemplate:
            return seed
    raise AssertionError("no choice shows it")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 71), st.booleans())
def test_quoted_printable_can_begin_in_any_column(text: str, column: int, ends: bool) -> None:
    kept = clean(text)
    octets = b"x" * column + encode(kept, column, ends_line=ends)
    assert max(map(len, octets.split(b"\r\n"))) <= 76
    read = binascii.a2b_qp(octets + (b"\r\n" if ends else b"=\r\n"))
    assert read.replace(b"\r\n", b"\n") == b"x" * column + kept.encode() + b"\n" * ends


def test_a_text_that_is_missing_is_made_of_the_html() -> None:
    html = (
        "<style>p{a:b}</style><h1>Hi {{ v | default: 'you' }}</h1><p>Read <a href='https://a.test/?b=1'>"
        "our {news|letter}</a><br>or <a href='mailto:x@y.test'>write</a>.<ul><li>one<li>two</ul>"
    )
    mail = message_from_bytes(
        compiled(Variant("A", "Hi", "", html)).fill(LETTER).content, policy=policy.default
    )
    body = mail.get_body(("plain",))
    assert body is not None
    assert re.fullmatch(
        r"Hi you\n\nRead our (news|letter) \(https://a\.test/\?b=1\)\nor write \(x@y\.test\)\.\n\n"
        r"  \* one\n  \* two\n\n-- \n1 Main {St\|Rd}\nUnsubscribe: .*\n",
        cast(str, body.get_content()).replace("\r\n", "\n"),
    )


@pytest.mark.parametrize(
    ("variant", "field", "reason"),
    [
        (Variant("A", "{{ v", "x"), "subject", "not closed"),
        (Variant("A", "x", "{% for a in (1..9) %}{% endfor %}"), "body_text", "for"),
        (Variant("A", "x", "{{ v.__class__ }}"), "body_text", "no attributes"),
        (Variant("A", "x", "{Hi|Hello"), "body_text", "choice is not closed"),
        (Variant("A", "x", "{a|" * 30), "body_text", "nested more than"),
        (Variant("A", "x", '{{ "' + "a" * 999 + '"' + ' | replace: "a", "aaaaaaaaa"' * 9 + " }}"),
         "body_text", "longer than"),
        (Variant("A", "x", "", "<a href='javascript:x'>y</a>"), "body_html", "javascript:"),
        (Variant("A", "x", "", "<p>{% if v %}"), "body_html", "end"),
    ],
)  # fmt: skip
def test_what_can_never_be_filled_is_refused_at_once(
    variant: Variant, field: str, reason: str
) -> None:
    with pytest.raises(BadPart, match=reason) as error:
        compiled(variant)
    assert error.value.field == field


def test_a_mail_that_cannot_be_filled_names_step_variant_and_field() -> None:
    with pytest.raises(CannotFill, match="step 1, variant B: 'nick' is undefined"):
        compiled(Variant("B", "Hi", "{{ nick }}")).fill(LETTER)


def test_many_places_do_not_make_a_mail_without_bounds() -> None:
    message = compiled(Variant("A", "Hi", "{{ v }}" * 30_000))
    with pytest.raises(CannotFill, match="limit"):
        message.fill(LETTER._replace(values={"v": "é" * 5000}))


def test_a_choice_is_the_same_at_every_attempt_and_in_both_parts() -> None:
    message = compiled(Variant("A", "{a|b|c} {d|e}", "{a|b|c} {d|e}"))
    seen = set()
    for number in range(60):
        letter = LETTER._replace(delivery_id=f"{number:032x}")
        filled = message.fill(letter)
        assert message.fill(letter) == filled
        body = message_from_bytes(filled.content, policy=policy.default).get_content()
        assert body.startswith(filled.subject)
        seen.add(filled.subject)
    assert seen == {f"{a} {b}" for a in "abc" for b in "de"}


@pytest.mark.parametrize(
    ("plus", "asked", "expected"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_the_address_to_reply_to_holds_a_token_where_it_is_asked_for_and_would_arrive(
    plus: bool, asked: bool, expected: bool
) -> None:
    message = compiled(Variant("A", "Hi", "x"), reply_token=asked)
    letter = LETTER._replace(author=Author("ann@fleet.test", plus=plus))
    field = message_from_bytes(message.fill(letter).content, policy=policy.default)["reply-to"]
    assert (field is not None) == expected
    if expected:
        found = re.fullmatch(r"<?ann\+([a-z2-7]+)@fleet\.test>?", str(field))
        assert found
        for token in (found[1], found[1].upper()):
            content = KEYS.read(Purpose.REPLY, token)
            assert content
            assert content.delivery_id == LETTER.delivery_id


def test_an_address_too_long_for_a_token_gets_none() -> None:
    message = compiled(Variant("A", "Hi", "x"), reply_token=True)
    author = Author("a" * 30 + "@fleet.test", plus=True)
    assert b"Reply-To" not in message.fill(LETTER._replace(author=author)).content


@pytest.mark.parametrize(
    ("tracking", "expected"), [(Tracking(), False), (Tracking(opens=True), True)]
)
def test_our_own_field_is_there_unless_nothing_is_tracked(
    tracking: Tracking, expected: bool
) -> None:
    mail = message_from_bytes(
        compiled(Variant("A", "Hi", "x"), tracking=tracking).fill(LETTER).content
    )
    token = mail["X-Postfleet-Delivery"]
    assert (token is not None) == expected
    if token:
        assert KEYS.read(Purpose.DELIVERY, token) is not None


@pytest.mark.parametrize(
    "body", ["{{ v }}", "{ {{ v }}|{{ v }} }", "{{ v | upcase }}"], ids=["row", "choice", "Liquid"]
)
def test_a_lead_cannot_take_the_places_of_our_tokens(body: str) -> None:
    message = compiled(
        Variant("A", "Hi", body, f'<p>{body} <a href="https://x.test/">x</a></p>'),
        tracking=Tracking(opens=True, clicks=True),
    )
    link = next(iter(message.links))
    ours = ("__unsubscribe", "__pixel", "__canary", f"__link_{link}", " delivery")
    taking = {"v": "__pixel {{ __pixel }}", **dict.fromkeys(ours, "https://evil.test/")}
    filled = message.fill(LETTER._replace(values=taking))
    said = "".join(str(content) for _, _, content in reading(filled.content)[1])
    assert "evil.test" not in said
    tokens = re.findall(r"/([ouc])/([A-Za-z0-9_-]+)", said)
    purposes = {"o": Purpose.OPEN, "u": Purpose.UNSUBSCRIBE, "c": Purpose.CLICK}
    assert {kind for kind, _ in tokens} == set(purposes)
    for kind, token in tokens:
        assert KEYS.read(purposes[kind], token) is not None


def test_what_is_compiled_goes_over_the_wire_as_if_it_had_been_searched_for_dots() -> None:
    filled = compiled(Variant("A", "Hi", ".\n..\n{{ v }}")).fill(
        LETTER._replace(values={"v": ".\r\n."})
    )
    assert for_transfer(filled) == dot_stuffed(filled.content)
    assert for_transfer(Filled(b".x\r\n", "")) == b"..x\r\n.\r\n"
