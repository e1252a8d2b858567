"""What the store of mails promises; the embedded server and mongomock must both keep it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.domain.identity import person_of
from dispatcher.domain.mail import Mail, delivery_of, new_id
from dispatcher.mail_intake import MailIntake, MailTimes
from dispatcher.store.messages import CANCELED, PLANNED, Messages, Pack

BYTES = bytes(range(256)) * 40


def mail(id_: str = "", due_at: int = 1000, people: int = 1, **fields: Any) -> Mail:
    id_ = id_ or new_id()
    deliveries = tuple((delivery_of(id_, n), f"p{n}@people.test") for n in range(people))
    given = {"sender_id": "s1", "category": "transactional", "created_at": 1, "expires_at": 9000}
    return Mail(id=id_, deliveries=deliveries, due_at=due_at, **{**given, **fields})


@pytest.fixture
async def messages(database: Any) -> Messages:
    store = Messages(database.messages)
    await store.ensure_indexes()
    return store


async def test_a_mail_comes_back_as_it_went_in(messages: Messages) -> None:
    one = mail(people=3, subject="Grüße", message_id="<a@b>", to_each=False, copies=1, via="relay")
    assert await messages.insert([(Pack(one.id, (one,)), [BYTES])], 0) == [True]
    stored = await messages.get(one.id)
    assert stored is not None
    assert stored.mail == one
    assert await messages.content(one.id) == BYTES
    assert await messages.get("none") is None
    assert await messages.content("none") is None


async def test_an_id_is_taken_once(messages: Messages) -> None:
    first, other = mail(subject="first"), mail()
    again = mail(first.id, subject="again")
    packs = [(Pack(one.id, (one,)), [b"x"]) for one in (first, again, other)]
    assert await messages.insert(packs, 0) == [True, False, True]
    stored = await messages.get(first.id)
    assert stored is not None
    assert stored.mail.subject == "first"


async def test_mails_of_a_pack_are_named_by_their_place(messages: Messages) -> None:
    mails = [mail(subject=str(n)) for n in range(3)]
    await messages.insert([(Pack("pack", tuple(mails)), [b"0", b"1", b"2"])], 0)
    found = await messages.get_many(["pack.0", "pack.2", "pack.9"])
    assert {name: one.mail.subject for name, one in found.items()} == {"pack.0": "0", "pack.2": "2"}
    assert [await messages.content(f"pack.{n}") for n in (2, 0, 9)] == [b"2", b"0", None]


async def test_what_is_due_is_planned_once_and_cannot_be_canceled_then(messages: Messages) -> None:
    early, late, gone = mail(due_at=1000), mail(due_at=2000), mail(due_at=500)
    for one in (early, late, gone):
        await messages.insert([(Pack(one.id, (one,)), [b""])], 0)
    assert await messages.cancel(gone.id)
    assert [pack.id for pack in await messages.due(1500, 10)] == [early.id]
    await messages.planned([early.id, gone.id])
    assert await messages.due(1500, 10) == []
    assert not await messages.cancel(early.id)
    states = {n: s.state for n, s in (await messages.get_many([early.id, gone.id])).items()}
    assert states == {early.id: PLANNED, gone.id: CANCELED}


async def test_what_is_old_can_be_kept_or_removed(messages: Messages) -> None:
    one = mail(expires_at=1)
    await messages.insert([(Pack(one.id, (one,)), [b"x"])], 0)
    (old,) = await messages.old(2**50, 10)
    assert old.mails == (one,)
    await messages.keep([one.id], 2**51)
    assert await messages.old(2**50, 10) == []
    await messages.remove([one.id])
    assert await messages.get(one.id) is None


async def test_what_comes_in_together_is_one_write_each_with_its_own_content(
    messages: Messages, database: Any
) -> None:
    woken: list[None] = []
    intake = MailIntake(messages, lambda: woken.append(None), MailTimes(1000, 0))
    mails = [mail() for _ in range(30)]
    await asyncio.gather(*(intake.take(one, one.id.encode()) for one in mails))
    assert len(woken) == 30
    assert len([d async for d in database.messages.find({}).limit(100)]) < 5
    packs = await messages.due(2**50, 100)
    named = {name: one for pack in packs for name, one in pack.by_name.items()}
    assert sorted(one.id for one in named.values()) == sorted(one.id for one in mails)
    for name, one in named.items():
        assert await messages.content(name) == one.id.encode()


async def test_large_mails_are_not_packed_beyond_what_a_document_holds(
    messages: Messages, database: Any
) -> None:
    intake = MailIntake(messages, lambda: None, MailTimes(1000, 0))
    large = bytes(3 * 1024 * 1024)
    await asyncio.gather(*(intake.take(mail(), large) for _ in range(7)))
    sizes = [len(pack.mails) for pack in await messages.due(2**50, 100)]
    assert sum(sizes) == 7
    assert max(sizes) <= 2


async def test_mails_that_wait_for_a_person_are_found_the_next_ones_first(
    messages: Messages,
) -> None:
    late, early, gone, other = mail(due_at=9, people=2), mail(due_at=5), mail(due_at=1), mail()
    other = replace(other, deliveries=((other.id, "somebody@people.test"),))
    alone = [(Pack(one.id, (one,)), [b"x"]) for one in (late, early, gone)]
    await messages.insert([*alone, (Pack("pack", (other, late)), [b"y", b"z"])], 0)
    await messages.planned([gone.id])
    waiting = await messages.waiting_for(person_of("P0@People.test"), 10)
    assert [one.due_at for one in waiting] == [5, 9, 9]
    assert await messages.waiting_for(person_of("p0@people.test"), 1) == [early]
    assert await messages.waiting_for(person_of("nobody@people.test"), 10) == []
