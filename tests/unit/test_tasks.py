"""A background task ends when it is told to, whatever the library below it does."""

import asyncio
from datetime import timedelta

import pytest

from postfleet.tasks import end


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_loop_whose_library_swallows_a_cancellation_ends_all_the_same() -> None:
    """Python 3.11: what arrived together with the cancellation is returned, the loop goes on."""
    swallowed: list[int] = []

    async def loop() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(1)

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(task, again=timedelta(milliseconds=20))
    assert task.done()
    assert swallowed == [1]


async def test_a_task_that_says_good_bye_is_not_disturbed() -> None:
    said: list[str] = []

    async def polite() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0.05)
            said.append("bye")

    task = asyncio.create_task(polite())
    await asyncio.sleep(0)
    await end(task, again=timedelta(seconds=5))
    assert said == ["bye"]


async def test_what_never_started_or_has_ended_needs_no_waiting() -> None:
    failed = asyncio.create_task(asyncio.sleep(0))
    await failed
    await end(None, failed)
    assert failed.done()


async def test_an_error_of_an_ended_task_is_not_raised_again() -> None:
    async def broken() -> None:
        try:
            await for_ever()
        finally:
            raise RuntimeError("while ending")

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)
    await end(task)
    with pytest.raises(RuntimeError, match="while ending"):
        task.result()
