"""What is still to be done, when: read from the ledger, so that a restart resumes it.

A gateway hands a mail on when it has looked through it: people wait for scanners, however slow.
"""

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from postfleet_sandbox import ledger
from postfleet_sandbox.behaviours import SCANNING, Act
from postfleet_sandbox.ledger import Record, now_ms

_NONE: dict[Act, int] = {}


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One act on one accepted mail."""

    due: int  # epoch ms
    mail: int  # seq of the record that accepted it
    act: Act


class Agenda:
    """Tasks in the order of their time. A task is pending until the ledger says it is over."""

    def __init__(self) -> None:
        self._mails: dict[int, tuple[Record, dict[Act, int]]] = {}
        self._waiting: list[Task] = []
        self._news = asyncio.Event()
        self.pending = 0

    def read(self, record: Record) -> None:
        """Take one record of the ledger into account."""
        if record.kind == ledger.ACCEPTED and record.detail["acts"]:
            acts = {Act(act): due for act, due in record.detail["acts"].items()}
            self._mails[record.seq] = (record, acts)
            self.pending += len(acts)
            scanning = SCANNING & acts.keys()
            self._schedule(record.seq, scanning or acts)
        elif "act" in record.detail:
            self._finish(record)

    def mail(self, task: Task) -> Record | None:
        """Return the record that accepted the mail, or None if the task is over."""
        record, acts = self._mails.get(task.mail, (None, _NONE))
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

    def _schedule(self, mail: int, acts: Iterable[Act], later: int = 0) -> None:
        due = self._mails[mail][1]
        for act in acts:
            heapq.heappush(self._waiting, Task(due[act] + later, mail, act))
        self._news.set()

    def _finish(self, over: Record) -> None:
        """What is over is over; the last scanner lets people at the mail, as late as itself."""
        mail, act = over.detail["mail"], over.detail["act"]
        _, acts = self._mails.get(mail, (None, _NONE))
        if act not in acts:
            return
        late = over.at - acts.pop(Act(act))
        self.pending -= 1
        if act in SCANNING and not SCANNING & acts.keys():
            self._schedule(mail, acts, max(late, 0))
        if not acts:
            del self._mails[mail]
