"""Reads and changes of several batches as one statement: who asks while one runs joins the next."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from dispatcher.group_commit import GroupCommit

V = TypeVar("V")

_BATCHES = 20  # asked for together at most


def joined(
    read: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]],
) -> Callable[[Sequence[str]], Awaitable[dict[str, V]]]:
    """`read` by keys, for all that ask at the same time; each gets its own keys."""

    async def read_all(asked: Sequence[Sequence[str]]) -> Sequence[dict[str, V]]:
        found = await read(list({key for keys in asked for key in keys}))
        return [{key: found[key] for key in keys if key in found} for keys in asked]

    group = GroupCommit(read_all, limit=_BATCHES)

    async def one(keys: Sequence[str]) -> dict[str, V]:
        return await group.submit(keys) if keys else {}

    return one
