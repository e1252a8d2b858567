"""What is still to be done, when: read from the ledger, so that a restart resumes it."""

import asyncio
import heapq
from dataclasses import dataclass
from typing import Any

from postfleet_sandbox import ledger
from postfleet_sandbox.behaviours import Act
from postfleet_sandbox.ledger import Record, now_ms


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One act on one accepted mail."""

    due: int  # epoch ms
    mail: int  # seq of the record that accepted it
    act: Act


class Agenda:
    """Tasks in the order of their time. A task is pending until the ledger says it is over."""

    def __init__(self) -> None:
        self._mails: dict[int, tuple[Record, set[Act]]] = {}
        self._waiting: list[Task] = []
        self._news = asyncio.Event()
        self.pending = 0

    def read(self, record: Record) -> None:
        """Take one record of the ledger into account."""
        if record.kind == ledger.ACCEPTED and record.detail["acts"]:
            acts = {Act(act): due for act, due in record.detail["acts"].items()}
            self._mails[record.seq] = (record, set(acts))
            for act, due in acts.items():
                heapq.heappush(self._waiting, Task(due, record.seq, act))
            self.pending += len(acts)
            self._news.set()
        elif "act" in record.detail:
            self._finish(record.detail)

    def mail(self, task: Task) -> Record | None:
        """Return the record that accepted the mail, or None if the task is over."""
        record, acts = self._mails.get(task.mail, (None, frozenset[Act]()))
        return record if task.act in acts else None

    async def next(self) -> Task:
        """Wait for the next task that is due and not over."""
        while True:
            self._news.clear()
            while self._waiting and self.mail(self._waiting[0]) is None:
                heapq.heappop(self._waiting)
            if self._waiting and self._waiting[0].due <= now_ms():
                return heapq.heappop(self._waiting)
            await self._wait()

    async def _wait(self) -> None:
        pause = (self._waiting[0].due - now_ms()) / 1000 if self._waiting else None
        try:
            async with asyncio.timeout(pause):
                await self._news.wait()
        except TimeoutError:
            return

    def _finish(self, detail: Any) -> None:
        _, acts = self._mails.get(detail["mail"], (None, set[Act]()))
        if detail["act"] in acts:
            acts.discard(Act(detail["act"]))
            self.pending -= 1
            if not acts:
                del self._mails[detail["mail"]]
