"""Tables of Postfix that others write to as well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_provisioner.domain.blocks import NotBlockable, classify
from mail_provisioner.domain.config_lines import BrokenFile, Taken
from mail_provisioner.domain.tables import with_entry, with_revision, without_entry

FILE = "postfix-relaymap.cf"
BY_HAND = "# mine\n@two.test   [mx.two.test]:587\n"


def test_an_entry_is_added_at_the_end_and_everything_else_stays() -> None:
    both = with_entry(FILE, BY_HAND, "@one.test", "[smtp.relay.test]:587")
    assert both == BY_HAND + "@one.test [smtp.relay.test]:587\n"
    assert with_entry(FILE, both, "@one.test", "[smtp.relay.test]:587") == both
    assert without_entry(FILE, both, "@one.test", ["[smtp.relay.test]:587"]) == BY_HAND


def test_an_entry_of_other_origin_is_neither_replaced_nor_removed() -> None:
    with pytest.raises(Taken, match="line 2"):
        with_entry(FILE, BY_HAND, "@two.test", "[smtp.relay.test]:587")
    assert without_entry(FILE, BY_HAND, "@two.test", ["[smtp.relay.test]:587"]) == BY_HAND


@pytest.mark.parametrize(
    ("text", "line"),
    [("  continued\n", 1), ("a b\r\n", 1), ("# x\na b\n\x00c d\n", 3)],
    ids=["nothing to continue", "carriage return", "control character"],
)
def test_a_broken_file_is_reported_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BrokenFile, match=f"{FILE}, line {line}:"):
        with_entry(FILE, text, "x", "y")


def test_a_continued_entry_goes_as_a_whole() -> None:
    text = "a REJECT\n  go away\nb OK\n"
    assert without_entry(FILE, text, "a", ["REJECT go away"]) == "b OK\n"


@given(st.integers(0, 10**13), st.integers(0, 10**13))
def test_there_is_one_revision_whatever_was_before(first: int, second: int) -> None:
    text = with_revision(with_revision("/^x/ y\n", first), second)
    assert text == f"/^x/ y\n# postfleet revision {second}\n"


@pytest.mark.seed("S63", "S130", "S131")
@pytest.mark.parametrize(
    ("text", "kind", "entry"),
    [
        ("Evil@Spam.Test", "address", "evil@spam.test"),
        ("Spam.Test", "domain", "spam.test"),
        ("Bücher.test", "domain", "xn--bcher-kva.test"),
        ("192.0.2.77", "network", "192.0.2.77/32"),
        ("192.0.2.77/24", "network", "192.0.2.0/24"),
        ("2001:DB8::/32", "network", "2001:db8::/32"),
    ],
)
def test_what_can_be_blocked(text: str, kind: str, entry: str) -> None:
    assert classify(text) == (kind, entry)


@pytest.mark.parametrize("text", ["", "localhost", "a b@x.test", "192.0.2.0/33", '"a b"@x.test'])
def test_what_cannot_be_blocked(text: str) -> None:
    with pytest.raises(NotBlockable):
        classify(text)
