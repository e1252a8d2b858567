"""postfix-accounts.cf: our line comes and goes, every other stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_provisioner.domain.accounts import addresses, with_account, without_account
from mail_provisioner.domain.config_lines import BrokenFile, Taken

HASH = "{SHA512-CRYPT}$6$salt$hash"
ANN = f"ann@one.test|{HASH}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", ANN, id="the first mailbox"),
        pytest.param("# ours\n\n", "# ours\n\n" + ANN, id="comments and blank lines stay"),
        pytest.param("bob@one.test|{PLAIN}x", "bob@one.test|{PLAIN}x\n" + ANN, id="no newline at the end"),
        pytest.param(ANN, ANN, id="it is there already"),
        pytest.param(
            f"ann@one.test|{HASH}|userdb_quota_rule=*:storage=5G\n",
            f"ann@one.test|{HASH}|userdb_quota_rule=*:storage=5G\n",
            id="it is there with extra fields",
        ),
    ],
)  # fmt: skip
def test_adding_a_mailbox(before: str, after: str) -> None:
    assert with_account(before, "ann@one.test", HASH) == after


def test_a_mailbox_made_by_hand_is_not_taken_over() -> None:
    with pytest.raises(Taken, match="line 2"):
        with_account("# by hand\nAnn@one.test|{SHA512-CRYPT}other\n", "ann@one.test", HASH)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        pytest.param("# x\nann@one.test\n", 2, "no |", id="no bar"),
        pytest.param("ann@one.test|\n", 1, "hash", id="no hash"),
        pytest.param("ann@one.test||quota\n", 1, "hash", id="an empty hash before extra fields"),
        pytest.param("\n\nann|{PLAIN}x\n", 3, "address", id="no domain"),
        pytest.param(" ann@one.test|{PLAIN}x\n", 1, "address", id="a blank in front"),
        pytest.param("ann@one.test|{PLAIN}x\r\n", 1, "carriage", id="line ends of Windows"),
        pytest.param("ann@one.test|{PLAIN}\0\n", 1, "control", id="a NUL"),
    ],
)
def test_a_broken_line_is_named(text: str, line: int, word: str) -> None:
    for edit in (lambda: with_account(text, "new@one.test", HASH), lambda: addresses(text)):
        with pytest.raises(BrokenFile, match=f"line {line}") as broken:
            edit()
        assert word in broken.value.reason


def test_removing_takes_every_line_of_the_address_and_no_other() -> None:
    text = f"# top\n{ANN}bob@one.test|{HASH}\nANN@one.test|{{PLAIN}}changed\n"
    assert without_account(text, "ann@one.test") == f"# top\nbob@one.test|{HASH}\n"
    kept = f"# top\nbob@one.test|{HASH}\nANN@one.test|{{PLAIN}}changed\n"
    assert without_account(text, "ann@one.test", only_with=HASH) == kept


_line = st.one_of(
    st.sampled_from(["", "# note", "  # note", "bob@one.test|{PLAIN}x", "c@two.test|h|user=b"]),
    st.text(st.characters(exclude_characters="\n"), max_size=20),
)


@given(st.lists(_line, max_size=6), st.booleans())
def test_whatever_the_file_holds_survives_or_is_reported(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    try:
        edited = with_account(text, "ann@one.test", HASH)
    except BrokenFile as broken:
        assert text.split("\n")[broken.line - 1].strip(" \t")  # noqa: PT017 (either is right)
        return
    assert edited.startswith(text)
    assert edited.endswith(ANN)
    removed = without_account(edited, "ann@one.test")
    assert removed in (text, text + "\n")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_survive_in_comments(raw: bytes) -> None:
    comment = b"# " + raw.replace(b"\n", b"")
    text = comment.decode("utf-8", "surrogateescape") + "\n"
    edited = with_account(text, "ann@one.test", HASH)
    assert edited.encode("utf-8", "surrogateescape") == comment + b"\n" + ANN.encode()
