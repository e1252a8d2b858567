"""What the Sent folder proves about a mail whose outcome is unknown."""

from datetime import UTC, datetime

import pytest

from inbox_watcher.domain.evidence import LONGEST_PAUSE_MS, Look, pause_ms, rule
from inbox_watcher.domain.matching import Sent
from inbox_watcher.evidence import Evidence
from inbox_watcher.mailbox_names import folder_of, sent_folder
from inbox_watcher.question_store import Question, QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.instants import to_ms
from tests.support.mockmongo import mock_database

_LOST_AT = to_ms(datetime(2026, 11, 21, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("found", "neighbours_found", "neighbours_missing", "looks", "waited", "ruling"),
    [
        pytest.param(True, 0, 0, 1, 0, "confirmed", id="a copy proves it at once"),
        pytest.param(False, 1, 0, 2, 10, "refuted", id="no copy, and a neighbour has one"),
        pytest.param(False, 6, 0, 2, 10, "refuted", id="no copy, and all neighbours have one"),
        pytest.param(False, 6, 0, 1, 10, "open", id="the first look: the copy may be late"),
        pytest.param(False, 6, 0, 2, 9, "open", id="too early"),
        pytest.param(False, 0, 0, 9, 99, "open", id="no neighbour to compare with"),
        pytest.param(False, 0, 6, 9, 99, "open", id="the server keeps no copies"),
        pytest.param(False, 5, 1, 9, 99, "open", id="copies are kept of some mails only"),
    ],
)
def test_a_look_proves(
    found: bool,
    neighbours_found: int,
    neighbours_missing: int,
    looks: int,
    waited: int,
    ruling: str,
) -> None:
    look = Look(found, neighbours_found, neighbours_missing)
    assert rule(look, looks, waited, after_ms=10) == ruling


def test_pauses_double_up_to_an_hour() -> None:
    assert [pause_ms(looks, 10_000) for looks in (0, 1, 2)] == [10_000, 20_000, 40_000]
    assert pause_ms(9, 10_000) == pause_ms(10**6, 10_000) == LONGEST_PAUSE_MS


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param([rb'(\Sent) "/" Gesandtes', b'() "/" Sent'], "Gesandtes", id="marked"),
        pytest.param([b'() "." "INBOX.Sent"', b'() "." INBOX'], "INBOX.Sent", id="by its name"),
        pytest.param(
            [b'() "/" "&AMk-l&AOk-ments envoy&AOk-s"'], "&AMk-l&AOk-ments envoy&AOk-s", id="French"
        ),
        pytest.param([rb'(\Junk) "/" Sent', b'() "/" "A &-&- B &x-"'], None, id="none"),
    ],
)
def test_the_sent_folder_is_the_marked_one_or_the_one_of_that_name(
    lines: list[bytes], name: str | None
) -> None:
    folders = [folder for line in lines if (folder := folder_of(b"LIST " + line))]
    assert len(folders) == len(lines)
    found = sent_folder(folders)
    assert (found.name if found else None) == name


class Folder:
    def __init__(self, *copies: str) -> None:
        self.copies = copies

    async def holds(self, message_id: str) -> bool:
        return message_id in self.copies


class World:
    """Mails m1..m9 were accepted, one a minute; d1 is in doubt since the fifth minute."""

    def __init__(self) -> None:
        database = mock_database("inbox_watcher")
        self.documents = database.questions
        self.questions, self.sent = QuestionStore(database.questions), SentStore(database.sent)
        self.announced = 0
        self.evidence = Evidence(self.questions, self.sent, self._announce, 10_000)

    def _announce(self) -> None:
        self.announced += 1

    async def ask(self, message_id: str = "d1") -> None:
        mails = [mail(f"m{n}", n) for n in range(1, 10)]
        await self.sent.add([*mails, mail("elsewhere", 5, sender="s2")])
        await self.questions.ask([Question(mail(message_id, 5, certain=False), 1)], 10_000)

    async def look(self, *copies: str) -> str:
        """One look; the state of the question after it."""
        due = await self.questions.due(10**15, ["s1"])
        await self.evidence.answer(await self.evidence.begin(due), Folder(*copies))
        return str((await self.documents.find_one({}))["state"])

    async def events(self) -> list[str]:
        document = await self.documents.find_one({})
        return [entry["subject"] for entry in document["outbox"].values()]


def mail(id_: str, minute: int, *, sender: str = "s1", certain: bool = True) -> Sent:
    at = _LOST_AT + minute * 60_000
    return Sent(id_, f"delivery-{id_}", sender, f"{id_}@lead.test", at, certain=certain)


_AROUND = ("m2", "m3", "m4", "m5", "m6", "m7")


async def test_a_copy_confirms_the_delivery_with_one_event() -> None:
    world = World()
    await world.ask()
    assert await world.look("d1") == "confirmed"
    assert await world.look("d1") == "confirmed"
    assert (await world.events(), world.announced) == (["delivery.confirmed"], 1)


async def test_no_copy_beside_the_neighbours_copies_refutes_it_at_the_second_look() -> None:
    world = World()
    await world.ask()
    assert await world.look(*_AROUND) == "open"
    assert await world.events() == []
    assert await world.look(*_AROUND) == "refuted"
    assert (await world.events(), world.announced) == (["delivery.refuted"], 1)


async def test_a_neighbour_without_a_copy_leaves_the_question_open_until_one_is_found() -> None:
    world = World()
    await world.ask()
    for _ in range(4):
        assert await world.look(*_AROUND[1:]) == "open"
    assert await world.look("d1") == "confirmed"


async def test_a_look_that_fails_is_not_repeated_at_once_and_does_not_count() -> None:
    world = World()
    await world.ask()
    (question,) = await world.evidence.begin(await world.questions.due(10**15, ["s1"]))
    assert question.looks == 0
    document = await world.documents.find_one({})
    assert document["looks"] == 0
    assert document["next_look"] > _LOST_AT + 5 * 60_000 + 10_000


async def test_a_mail_of_which_email_sent_was_heard_is_no_question_any_more() -> None:
    world = World()
    await world.ask("m5")
    assert await world.look() == "settled"
    assert await world.events() == []


async def test_old_questions_are_forgotten() -> None:
    world = World()
    await world.ask()
    await world.questions.forget(_LOST_AT + 5 * 60_000)
    assert await world.documents.find_one({}) is not None
    await world.questions.forget(_LOST_AT + 5 * 60_000 + 1)
    assert await world.documents.find_one({}) is None
