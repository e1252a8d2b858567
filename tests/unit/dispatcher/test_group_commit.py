"""Many small writes become few, and who comes alone does not wait."""

import asyncio
from collections.abc import Sequence

from dispatcher.group_commit import GroupCommit

_LONG = 30.0  # seconds: a test that waited for it would be noticed


class Writer:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def __call__(self, entries: Sequence[int]) -> list[int]:
        self.groups.append(list(entries))
        return [-one for one in entries]


async def test_those_who_are_ready_share_a_write_and_each_gets_its_own_result() -> None:
    write = Writer()
    group = GroupCommit(write)
    assert await asyncio.gather(*(group.submit(n) for n in range(3))) == [0, -1, -2]
    assert write.groups == [[0, 1, 2]]


async def test_who_comes_alone_waits_for_no_rest() -> None:
    write = Writer()
    group = GroupCommit(write, rest=_LONG)
    async with asyncio.timeout(_LONG / 3):
        assert await group.submit(7) == -7


async def test_who_comes_soon_after_a_write_shares_the_next_one() -> None:
    write = Writer()
    group = GroupCommit(write, rest=0.5)
    await group.submit(0)
    told = []
    for number in range(1, 6):
        told.append(asyncio.create_task(group.submit(number)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*told) == [-1, -2, -3, -4, -5]
    assert write.groups == [[0], [1, 2, 3, 4, 5]]


async def test_a_full_group_does_not_rest() -> None:
    write = Writer()
    group = GroupCommit(write, limit=2, rest=_LONG)
    async with asyncio.timeout(_LONG / 3):
        await group.submit(0)
        assert await asyncio.gather(group.submit(1), group.submit(2)) == [-1, -2]


async def test_everybody_in_a_group_that_fails_hears_why_and_the_next_goes_on() -> None:
    failing = [True]

    async def write(entries: Sequence[int]) -> Sequence[int]:
        if failing.pop():
            raise OSError("away")
        return entries

    group = GroupCommit(write)
    told = await asyncio.gather(group.submit(1), group.submit(2), return_exceptions=True)
    assert [str(one) for one in told] == ["away", "away"]
    failing.append(False)
    assert await group.submit(3) == 3
