"""What senders of the fleet write to each other while they warm up: short mails as people write them.

Everything follows from the delivery's id, so that a rerun writes the same mail again.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dispatcher.domain.draws import fraction

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str


class _Choice:
    """Draws from lists, one draw after the other, the same for the same key."""

    def __init__(self, key: str) -> None:
        self._key, self._count = key, 0

    def below(self, bound: int) -> int:
        self._count += 1
        return int(fraction(self._key, self._count) * bound)

    def one(self, of: list[str]) -> str:
        return of[self.below(len(of))]


def opening(key: str, author: str, partner: str) -> Letter:
    """The first mail of an exchange; `author` and `partner` are the names that it uses."""
    data, choice = _data(), _Choice(key)
    topic, slots = _topic(key), _slots(choice)
    body = " ".join(choice.one(topic[part]) for part in ("openings", "details", "questions"))
    subject = choice.one(topic["subjects"]).format(**slots)
    return Letter(subject, _letter(data, choice, body.format(**slots), author, partner))


def answer(key: str, subject: str, author: str, partner: str) -> Letter:
    """The answer to the opening with this key."""
    data, choice = _data(), _Choice(f"answer\x1f{key}")
    body = choice.one(_topic(key)["answers"]).format(**_slots(choice))
    said = subject if subject.lower().startswith("re:") else f"Re: {subject}"
    return Letter(said, _letter(data, choice, body, author, partner))


def first_name(display_name: str, address: str) -> str:
    """How somebody is addressed: "Ann" for "Ann Lee" or for ann.lee@one.test."""
    for word in (*display_name.split(), *address.partition("@")[0].replace("-", ".").split(".")):
        if word.isalpha():
            return word.capitalize()
    return "there"


def _letter(data: dict[str, Any], choice: _Choice, body: str, author: str, partner: str) -> str:
    greeting = choice.one(data["greetings"]).format(name=partner)
    return f"{greeting}\n\n{body}\n\n{choice.one(data['closings'])}\n{author}\n"


def _slots(choice: _Choice) -> dict[str, str]:
    hour, quarter = 8 + choice.below(10), choice.below(4) * 15
    return {
        "day": _DAYS[choice.below(len(_DAYS))],
        "time": f"{hour}:{quarter:02d}",
        "number": str(3 + choice.below(9)),
    }


def _topic(key: str) -> dict[str, list[str]]:
    topics: list[dict[str, list[str]]] = _data()["topics"]
    return topics[_Choice(f"topic\x1f{key}").below(len(topics))]


@cache
def _data() -> dict[str, Any]:
    text = Path(__file__).with_name("warmup_texts.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data
