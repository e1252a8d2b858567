"""Lines of large tables are found by searching, never one that only looks alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_provisioner.domain.config_lines import Taken
from mail_provisioner.domain.user_tables import (
    line_of,
    user_line,
    with_entry,
    with_user,
    without_line,
)

TEXT = "joann@one.test:h1:5000\nann@one.test:h2:5000\nann@one.test.eu:h3:5000\n"


@pytest.mark.parametrize(
    ("start", "line"),
    [
        ("ann@one.test:", "ann@one.test:h2:5000"),
        ("joann@one.test:", "joann@one.test:h1:5000"),
        ("ann@one.test.eu:", "ann@one.test.eu:h3:5000"),
        ("nn@one.test:", ""),
        ("bob@one.test:", ""),
    ],
)
def test_a_line_is_found_by_its_whole_name(start: str, line: str) -> None:
    assert line_of(TEXT, start) == line
    assert line_of(TEXT.rstrip("\n"), start) == line


def test_the_line_of_another_is_kept() -> None:
    with pytest.raises(Taken, match=r"ann@one\.test"):
        with_user(TEXT, "ann@one.test", "other")
    assert without_line(TEXT, "ann@one.test:", "ann@one.test:other:5000") == TEXT
    assert with_entry("a x\n", "a", "a y") == "a x\n"


_NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)


@given(_NAMES, st.data())
def test_adding_and_removing_in_any_order_keeps_exactly_what_is_wanted(
    names: list[str], data: st.DataObject
) -> None:
    text = ""
    for name in names:
        text = with_user(text, f"{name}@x.test", "h")
        assert with_user(text, f"{name}@x.test", "h") == text
    gone = data.draw(st.lists(st.sampled_from(names), unique=True))
    for name in gone:
        text = without_line(text, f"{name}@x.test:")
    left = [user_line(f"{name}@x.test", "h") for name in names if name not in gone]
    assert text == "".join(f"{line}\n" for line in left)
