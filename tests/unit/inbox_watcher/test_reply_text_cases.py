"""Hard cases of clients that mark what they quote badly, or not at all."""

# ruff: noqa: E501 (the cases are as they were sent)

import pytest

from inbox_watcher.domain.reply_text import new_text

_CASES = [
    (
        "Yes.\n\nOn Tue, Apr 29, 2014 at 4:22 PM, Example Dev <sugar@example.com>wrote:\n\n> old",
        "Yes.",
    ),
    ("Ja.\n\nAm 01.01.2014 um 10:00 schrieb Max Mustermann:\n\nalt alt", "Ja."),
    ("Ja.\n\nOp 1 jan. 2014 om 10:00 heeft X <x@y.nl> het volgende geschreven:\n\noud", "Ja."),
    ("Yes\n\nFrom: X <x@y.com>\nDate: Monday, 1 Jan 2014\nSubject: Hello\n\nold", "Yes"),
    ("Yes\n\n*From: *X <x@y.com>\n*Sent: *Monday\n*To: *me\n*Subject: *Hello\n\nold", "Yes"),
    ("Hi\n\nreply\n\n-- \nBob\nCEO", "Hi\n\nreply"),
    ("Hi\n\nreply\n\n--\nBob", "Hi\n\nreply"),
    ("reply\n\nSent from my BlackBerry\n\n-----Original Message-----\nFrom: x", "reply"),
    (
        "reply\n\n________________________________________\nFrom: x [x@y.com]\nSent: Monday\nTo: z\nSubject: y\n\nold",
        "reply",
    ),
    ("reply\n\n> On 1 Jan 2014, at 10:00, X <x@y.com> wrote:\n>\n> old", "reply"),
    ("reply\n\nX <x@y.com> schreef op 1 januari 2014 10:00:\n\nold", "reply"),
    ("reply\n\nOn 01/01/2014 10:00, X wrote:\nold without quote marks", "reply"),
    ('reply\n\nLe 1 janv. 2014 10:00, "X" <x@y.fr> a écrit :\n\nvieux', "reply"),
    ("reply\n\nLe 01/01/2014 10:00, X a écrit :\n> vieux", "reply"),
    ("> question 1\nanswer 1\n\n> question 2\nanswer 2", "answer 1\n\nanswer 2"),
    ("reply\n\nFrom: x@y.com\nTo: z@y.com\nSubject: foo\nDate: Mon, 1 Jan 2014\n\nold", "reply"),
    ("reply\n\nx@y.com wrote:\n\n> old", "reply"),
    ("reply\n\n--- Original Message ---\nold", "reply"),
    ("reply\n\n---- X schrieb ----\n\nold", "reply"),
    ("reply\n\n-------- Mensaje original --------\nold", "reply"),
    ("reply\n\nEl 01/01/2014 10:00, X escribió:\n> viejo", "reply"),
    ("reply\n\nDatum: Mon, 1 Jan 2014\nVon: X <x@y.de>\nAn: z\nBetreff: foo\n\nalt", "reply"),
    (
        'reply\n\nGesendet: Montag, 01. Januar 2014 um 10:00 Uhr\nVon: "X" <x@y.de>\nAn: z\nBetreff: foo\n\nalt',
        "reply",
    ),
    (
        "reply\n\n-----\nOn Mon someone did something\n\nmore of mine",
        "reply\n\n-----\nOn Mon someone did something\n\nmore of mine",
    ),
    ("reply\n\nSubject: Re: foo\nFrom: x@y.com\nDate: 1 Jan\nTo: z\n\nold", "reply"),
    ("reply\n\nDate: Mon, 1 Jan 2014 10:00\nFrom: x@y.com\nTo: z\nSubject: foo\n\nold", "reply"),
    ("reply\n\n___\nBob", "reply\n\n___\nBob"),
    (
        "reply\n\nThanks,\nBob\n\nOn Jan 1, 2014, at 10:00 AM, X <\nx@y.com> wrote:\n\n> old",
        "reply\n\nThanks,\nBob",
    ),
    ("reply\n\n| From: x\n| old", "reply\n\n| From: x\n| old"),
]


@pytest.mark.parametrize(("text", "new"), _CASES)
def test_the_new_text_is_what_was_written_now(text: str, new: str) -> None:
    assert new_text(text) == new
