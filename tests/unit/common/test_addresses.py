"""Addresses: the valid are accepted as they are, the others refused; none is repaired."""

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.addresses import (
    InvalidAddress,
    canonical,
    check_domain,
    check_text,
    domain_of,
    split_address,
)

VALID = [
    pytest.param("a@b.co", id="the shortest we know"),
    pytest.param("first.last+tag@one.test", id="dots and a tag"),
    pytest.param("!#$%&'*+-/=?^_`{|}~@one.test", id="every special character of atext"),
    pytest.param('"john smith"@one.test', id="a quoted local part with a space"),
    pytest.param('"a@b"@one.test', id="a quoted at sign"),
    pytest.param(r'"a\"b\\c"@one.test', id="quoted pairs"),
    pytest.param('""@one.test', id="an empty quoted string"),
    pytest.param('"a..b."@one.test', id="dots anywhere, in quotes"),
    pytest.param("1@123.test", id="digits"),
    pytest.param("a@1and1.co.uk", id="a label that begins with a digit"),
    pytest.param("a@xn--strae-oqa.test", id="a domain in punycode"),
    pytest.param("josé@exämple.test", id="UTF-8 on both sides (RFC 6531)"),
    pytest.param("用户@例子.广告", id="Chinese on both sides"),
    pytest.param("δοκιμή@παράδειγμα.δοκιμή", id="Greek on both sides"),
    pytest.param(f"{'a' * 64}@one.test", id="a local part of 64 octets"),
    pytest.param(f"{'é' * 32}@one.test", id="64 octets of UTF-8"),
    pytest.param(f"a@{'b' * 63}.test", id="a label of 63 octets"),
    pytest.param(
        f"{'a' * 64}@{'.'.join(['b' * 61, 'c' * 61, 'd' * 62])}.de", id="254 octets in all"
    ),
]
INVALID = [
    pytest.param("", "no @", id="nothing"),
    pytest.param("bob", "no @", id="no at sign"),
    pytest.param("@one.test", "before the @", id="no local part"),
    pytest.param("bob@", "not a full host name", id="no domain"),
    pytest.param("bob@localhost", "not a full host name", id="a single label"),
    pytest.param(".bob@one.test", "before the @", id="a dot in front"),
    pytest.param("bob.@one.test", "before the @", id="a dot at the end"),
    pytest.param("b..ob@one.test", "before the @", id="two dots"),
    pytest.param("b ob@one.test", "before the @", id="a space"),
    pytest.param(" bob@one.test", "before the @", id="a space in front"),
    pytest.param("bob@one.test ", "not valid", id="a space at the end"),
    pytest.param("\u00a0bob@one.test", "none of ASCII", id="a no-break space in front"),
    pytest.param("bob@one.test\u00a0", "none of ASCII", id="a no-break space at the end"),
    pytest.param("<bob@one.test>", "before the @", id="angle brackets"),
    pytest.param("Bob <bob@one.test>", "before the @", id="a display name"),
    pytest.param("bob@one.test> ORCPT=x", "not valid", id="an ESMTP parameter"),
    pytest.param("a@b@one.test", "before the @", id="two at signs"),
    pytest.param("a,b@one.test", "before the @", id="a comma"),
    pytest.param("a@one.test,b@two.test", "before the @", id="two addresses"),
    pytest.param("bob(comment)@one.test", "before the @", id="a comment"),
    pytest.param("@relay.test:bob@one.test", "before the @", id="a source route"),
    pytest.param('"bob@one.test', "before the @", id="an open quote"),
    pytest.param('"b"ob"@one.test', "before the @", id="a quote inside quotes"),
    pytest.param('"bob\\"@one.test', "before the @", id="a quoted closing quote"),
    pytest.param('a."b".c@one.test', "before the @", id="quotes within atoms (obsolete)"),
    pytest.param("bob@[192.0.2.1]", "not valid", id="an address literal"),
    pytest.param("bob@192.0.2.1", "ends in a number", id="an IP address"),
    pytest.param("bob@-one.test", "not valid", id="a hyphen in front"),
    pytest.param("bob@one-.test", "not valid", id="a hyphen at the end"),
    pytest.param("bob@one..test", "not valid", id="an empty label"),
    pytest.param("bob@.one.test", "not valid", id="a dot before the domain"),
    pytest.param("bob@one.test.", "not valid", id="a dot after the domain"),
    pytest.param("bob@é..test", "not valid", id="an empty label beside UTF-8"),
    pytest.param("bob@o_ne.test", "not valid", id="an underscore in the domain"),
    pytest.param("bob@a\u3002b.test", "not valid", id="an ideographic full stop"),
    pytest.param("bob@a\uff0eb.test", "not valid", id="a full-width full stop"),
    pytest.param("bob@a\uff20b.test", "not valid", id="a full-width at sign"),
    pytest.param("bob@a\uff1eb.test", "not valid", id="a full-width angle bracket"),
    pytest.param("bob@\u2100.test", "not valid", id="a character that is mapped to a/c"),
    pytest.param("bob@one.\uff11\uff12", "not valid", id="full-width digits"),
    pytest.param("bob@i\u2764.ws", "not valid", id="a symbol, which IDNA 2008 does not know"),
    pytest.param("bob@one.test\r\nRCPT TO:<x@y.test>", "control character", id="an SMTP command"),
    pytest.param("bob\x00@one.test", "control character", id="NUL"),
    pytest.param('"b\tob"@one.test', "control character", id="a tab in quotes"),
    pytest.param("bob\u2028@one.test", "control character", id="a line separator"),
    pytest.param("b\u200bob@one.test", "control character", id="a zero-width space"),
    pytest.param("\u202ebob@one.test", "control character", id="a change of direction"),
    pytest.param("bob\ud800@one.test", "control character", id="half of a surrogate pair"),
    pytest.param(f"{'a' * 65}@one.test", "64 octets", id="a local part of 65 octets"),
    pytest.param(f"{'é' * 33}@one.test", "64 octets", id="66 octets of UTF-8"),
    pytest.param(f"a@{'b' * 64}.test", "not valid", id="a label of 64 octets"),
    pytest.param(
        f"{'a' * 64}@{'.'.join(['b' * 61, 'c' * 61, 'd' * 63])}.de", "254 octets", id="255 in all"
    ),
    pytest.param(f"a@{'b.' * 127}test", "not a full host name", id="a domain over 255 octets"),
]  # fmt: skip


@pytest.mark.parametrize("address", VALID)
def test_a_valid_address_is_accepted_as_it_is(address: str) -> None:
    local, domain = split_address(address)
    assert f"{local}@{domain}" == address


@pytest.mark.parametrize(("address", "rule"), INVALID)
def test_an_invalid_address_is_refused_with_the_rule_it_breaks(address: str, rule: str) -> None:
    with pytest.raises(InvalidAddress, match=rule):
        split_address(address)
    with pytest.raises(InvalidAddress):
        canonical(address)


ATOMS = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~äßλ", min_size=1, max_size=8)
LOCALS = st.lists(ATOMS, min_size=1, max_size=3).map(".".join)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DOMAINS = st.builds("{}.{}".format, st.lists(LABELS, min_size=1, max_size=3).map(".".join),
                    st.sampled_from(["test", "example", "co"]))  # fmt: skip


@given(LOCALS, DOMAINS)
def test_every_address_made_by_the_grammar_is_accepted_unchanged(local: str, domain: str) -> None:
    assert split_address(f"{local}@{domain}") == (local, domain)


def _accepted(address: str) -> tuple[str, str] | None:
    try:
        return split_address(address)
    except InvalidAddress:
        return None


@given(st.one_of(st.text(), st.builds("{}@{}".format, st.text(), DOMAINS),
                 st.builds("{}@{}.test".format, LOCALS, st.text())))  # fmt: skip
def test_any_text_is_accepted_unchanged_or_refused(text: str) -> None:
    accepted = _accepted(text)
    if accepted is not None:
        local, domain = accepted
        assert f"{local}@{domain}" == text
        assert not any(c < " " or c == "\x7f" for c in text)
        assert not set("<>@ ,;") & set(
            idna.encode(domain.lower()).decode() if not domain.isascii() else domain
        )


@given(LOCALS, DOMAINS)
def test_the_form_for_comparison_is_stable_and_ignores_case(local: str, domain: str) -> None:
    form = canonical(f"{local}@{domain}")
    assert canonical(form) == form
    assert canonical(f"{local}@{domain.upper()}") == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Bob@One.TEST", "bob@one.test", id="case"),
        pytest.param("bob@exämple.test", "bob@xn--exmple-cua.test", id="punycode"),
        pytest.param("a@faß.test", "a@xn--fa-hia.test", id="a letter that IDNA 2003 would replace"),
        pytest.param("jose\u0301@one.test", "jos\u00e9@one.test", id="composed and decomposed"),
    ],
)
def test_addresses_that_are_the_same_compare_equal(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


def test_addresses_that_differ_compare_different() -> None:
    forms = {canonical(a) for a in ("bob@one.test", "b.ob@one.test", "bob+x@one.test")}
    assert len(forms) == 3, "no provider's habits are assumed"


def test_the_domain_of_an_address_is_in_lower_case() -> None:
    assert domain_of("Bob@One.Test") == "one.test"
    assert check_domain("One.Test") == "One.Test"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("a\r\nBcc: x@y.test", "U\\+000D", id="a new header"),
        pytest.param("a\nb", "U\\+000A", id="LF"),
        pytest.param("a\x00b", "U\\+0000", id="NUL"),
        pytest.param("a\x0bb", "U\\+000B", id="VT"),
        pytest.param("a\x0cb", "U\\+000C", id="FF"),
        pytest.param("a\x1cb", "U\\+001C", id="FS, a line end for Python"),
        pytest.param("a\x7fb", "U\\+007F", id="DEL"),
        pytest.param("a\u0085b", "U\\+0085", id="NEL"),
        pytest.param("a\u2028b", "U\\+2028", id="a line separator"),
        pytest.param("a\ud800b", "U\\+D800", id="half of a surrogate pair"),
        pytest.param("é" * 500, "998 octets", id="1000 octets"),
    ],
)
def test_a_text_that_would_break_a_header_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_text(text)


@pytest.mark.parametrize("text", ["", "Hello, Bob", "Grüße 👩‍👩‍👧", "x" * 998])
def test_any_other_text_passes_unchanged(text: str) -> None:
    assert check_text(text) == text
