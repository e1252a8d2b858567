"""Sieve scripts: what is written, what is known as ours, and that no text can leave its string."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sievelib.parser import Parser

from mail_provisioner.domain import filters
from mail_provisioner.domain.filters import Condition, Filters, Rule, Vacation
from mail_provisioner.forwarding import without_tag

CALM = Vacation("Back in January.", "Away", 3, ("sales@one.test",), date(2026, 12, 20), None)
EVERYTHING = Filters(
    (
        Rule((Condition("List-Id", "news"),), move_to="Lists/News", stop=True),
        Rule(forward_to=("a@else.test", "b@else.test"), keep=False),
    ),
    CALM,
    "roundcube",
)


def body(script: str) -> str:
    return script.split("\n", 2)[2]


def test_the_script_says_what_was_wished() -> None:
    assert body(filters.script(EVERYTHING)) == (
        'require ["fileinto", "mailbox", "copy", "vacation", "include", "date", "relational"];\n'
        'include :personal :optional "roundcube";\n'
        'if allof (header :contains "List-Id" "news") {\n'
        '    fileinto :create "Lists/News";\n'
        "    stop;\n"
        "}\n"
        "if allof (true) {\n"
        '    redirect :copy "a@else.test";\n'
        '    redirect "b@else.test";\n'
        "}\n"
        'if allof (currentdate :zone "+0000" :value "ge" "date" "2026-12-20") {\n'
        '    vacation :days 3 :subject "Away" :addresses ["sales@one.test"] "Back in January.";\n'
        "}\n"
    )


@pytest.mark.parametrize(
    ("keep", "move_to", "command"),
    [
        pytest.param(True, "", 'redirect :copy "a@else.test";', id="kept here as well"),
        pytest.param(False, "", 'redirect "a@else.test";', id="gone from here"),
        pytest.param(False, "Sent on", 'redirect :copy "a@else.test";', id="kept in a folder"),
    ],
)
def test_forwarded_mail_stays_only_where_it_shall(keep: bool, move_to: str, command: str) -> None:
    rule = Rule(forward_to=("a@else.test",), keep=keep, move_to=move_to)
    assert command in filters.script(Filters((rule,)))


def test_a_script_carries_its_wish_and_shows_every_edit() -> None:
    script = filters.script(EVERYTHING)
    assert filters.parsed(script) == EVERYTHING
    assert filters.is_ours(script.replace("\n", "\r\n")), "servers may send other line ends"
    for edited in (script.replace("Away", "Here"), f"{script}discard;", "", "keep;"):
        assert not filters.is_ours(edited)
        with pytest.raises(ValueError, match="not a script of ours"):
            filters.parsed(edited)


TEXTS = some.text(
    some.characters(exclude_categories=("Cs", "Cc")) | some.sampled_from('"\\\n;{}[]'), max_size=80
)


@given(TEXTS, TEXTS, TEXTS)
def test_no_text_leaves_its_string(text: str, subject: str, needle: str) -> None:
    rule = Rule((Condition("Subject", f"x{needle}"),), move_to=f"f{subject}")
    wish = Filters((rule,), Vacation(f"t{text}", f"s{subject}"))
    parser = Parser()
    script = filters.script(wish)
    assert parser.parse(script.encode()), parser.error
    names = [command.name for command in parser.result]
    assert names == ["require", "if", "vacation"], "no text became a command"
    assert filters.parsed(script) == wish


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("ann@one.test", "ann@one.test"),
        ("ann+shop@one.test", "ann@one.test"),
        ("ann-x+y@one.test", "ann@one.test"),
        ("+x@one.test", "+x@one.test"),
    ],
)
def test_a_tag_does_not_hide_a_mailbox(address: str, mailbox: str) -> None:
    assert without_tag(address) == mailbox


def test_what_is_remembered_is_read_back() -> None:
    wish: dict[str, Any] = filters.as_json(EVERYTHING)
    assert filters.from_json(wish) == EVERYTHING
