"""Many small writes become few: what is asked for while one write runs goes into the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """`write` gets up to `limit` entries and returns a result for each, in order.

    If it raises, everybody in the group gets the exception. `rest` is the least number of seconds from
    the end of one write to the beginning of the next: who comes alone waits for nobody, and of many
    that come one after the other more share a write.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        limit: int = 500,
        rest: float = 0.0,
    ) -> None:
        self._write = write
        self._limit, self._rest = limit, rest
        self._rested_at = 0.0
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, entry: T) -> R:
        """Returns when the group with this entry is written."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._waiting:
                left = self._rested_at - clock() if len(self._waiting) < self._limit else 0.0
                await asyncio.sleep(max(0.0, left))  # 0: lets everybody who is ready join
                group = self._waiting[: self._limit]
                del self._waiting[: self._limit]
                await self._commit(group)
                self._rested_at = clock() + self._rest
        finally:
            self._running = None

    async def _commit(self, group: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._write([entry for entry, _ in group])
        except Exception as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)
