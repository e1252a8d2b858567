"""postfix-virtual.cf: aliases, catch-alls, and the identity lines that mailboxes need beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_provisioner.domain.aliases import (
    check_free_for_mailbox,
    table,
    with_alias,
    with_identities,
    without_alias,
    without_identity,
)
from mail_provisioner.domain.config_lines import BrokenFile, Taken

SALES = "sales@one.test ann@one.test,bob@else.test\n"
TARGETS = ("ann@one.test", "bob@else.test")


def test_an_alias_is_added_once_and_removed() -> None:
    text = with_alias("# top\n", "sales@one.test", TARGETS)
    assert text == "# top\n" + SALES
    assert with_alias(text, "sales@one.test", TARGETS) == text
    assert without_alias(text, "sales@one.test") == "# top\n"


@pytest.mark.seed("S96")
def test_an_alias_made_by_hand_is_not_taken_over() -> None:
    with pytest.raises(Taken, match=r"sales@one\.test"):
        with_alias("Sales@one.test x@else.test\n", "sales@one.test", TARGETS)
    kept = "Sales@one.test x@else.test\n"
    assert without_alias(kept, "sales@one.test", only_to=TARGETS) == kept


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        pytest.param("a@one.test sales@one.test\n", ("a@one.test",), id="there and back"),
        pytest.param(
            "a@one.test x@else.test, b@one.test\nb@one.test sales@one.test\n",
            ("a@one.test",),
            id="through a second alias",
        ),
    ],
)
def test_an_alias_that_leads_back_to_itself_is_refused(text: str, targets: tuple[str]) -> None:
    with pytest.raises(Taken, match="lead back"):
        with_alias(text, "sales@one.test", targets)


def test_an_identity_line_is_no_loop() -> None:
    text = with_alias("ann@one.test ann@one.test\n", "sales@one.test", ("ann@one.test",))
    assert text.endswith("sales@one.test ann@one.test\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("# x\nsales@one.test\n", 2, id="an alias without a target"),
        pytest.param("sales@one.test ,\n", 1, id="only a comma"),
        pytest.param("# x\n\n, ann@one.test\n", 3, id="a comma in front"),
        pytest.param("  ann@one.test\n", 1, id="it continues nothing"),
        pytest.param("sales@one.test ann@one.test\r\n", 1, id="line ends of Windows"),
        pytest.param("sales@one.test ann\x01@one.test\n", 1, id="a control character"),
    ],
)
def test_a_broken_line_is_named(text: str, line: int) -> None:
    with pytest.raises(BrokenFile, match=f"line {line}"):
        table(text)


def test_an_entry_may_go_over_several_lines_and_goes_as_a_whole() -> None:
    text = "sales@one.test ann@one.test,\n# between\n  bob@one.test\nx@one.test y@one.test\n"
    assert table(text)["sales@one.test"] == ("ann@one.test", "bob@one.test")
    assert without_alias(text, "sales@one.test") == "# between\nx@one.test y@one.test\n"


@pytest.mark.seed("S54")
def test_a_catch_all_leaves_mailboxes_their_mail() -> None:
    text = "x@one.test y@one.test\n@one.test ann@one.test\n"
    mailboxes = ["ann@one.test", "bob@one.test", "eve@two.test", "x@one.test"]
    expected = (
        "x@one.test y@one.test\nann@one.test ann@one.test\nbob@one.test bob@one.test\n"
        "@one.test ann@one.test\n"
    )
    assert with_identities(text, mailboxes) == expected
    assert with_identities(expected, mailboxes) == expected
    assert without_identity(expected, "bob@one.test") == expected.replace(
        "bob@one.test bob@one.test\n", ""
    )


def test_without_a_catch_all_no_identity_line_is_written() -> None:
    assert with_identities("", ["ann@one.test"]) == ""


@pytest.mark.seed("S96")
def test_a_mailbox_may_not_have_the_name_of_an_alias() -> None:
    with pytest.raises(Taken):
        check_free_for_mailbox(SALES, "sales@one.test")
    identity = "ann@one.test ann@one.test\n"
    assert check_free_for_mailbox(identity, "ann@one.test") is None


_line = st.one_of(
    st.sampled_from(
        ["", "# note", "a@one.test b@one.test", "  c@one.test", "@one.test a@one.test"]
    ),
    st.text(st.characters(exclude_characters="\n"), max_size=20),
)


@given(st.lists(_line, max_size=6), st.booleans())
def test_whatever_the_file_holds_survives_or_is_reported(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    try:
        edited = with_alias(text, "sales@one.test", TARGETS)
        identified = with_identities(edited, ["ann@one.test"])
    except BrokenFile as broken:
        assert text.split("\n")[broken.line - 1].strip(" \t")  # noqa: PT017 (either is right)
        return
    assert edited.startswith(text)
    assert edited.endswith(SALES)
    assert without_alias(edited, "sales@one.test") in (text, text + "\n")
    assert without_identity(identified, "ann@one.test") == edited
