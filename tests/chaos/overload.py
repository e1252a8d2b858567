"""Ten times what the platform can send: what it takes it keeps, the rest is refused at the edge."""

import contextlib
import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from tests.chaos.stage import Stage

_CLIENTS = 8
_BATCH = 500  # leads in a request
_MOST_BATCHES = 50  # of each client: the disk is not what is tried here
_GROWTH = 1.5  # of a process' memory from the first third to the end
_NOISE_BYTES = 40 << 20
_ANSWERS = {200, 202, 429, 503}


def overload(seconds: float) -> "Overload":
    return Overload(seconds)


class Overload:
    """Leads are added to a running campaign, and hits come in, as fast as clients can."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: Counter[int] = Counter()
        self._memory: list[dict[str, int]] = []

    def __call__(self, stage: Stage, rng: random.Random) -> None:
        end = time.monotonic() + self._seconds
        clients = [
            threading.Thread(target=self._press, args=(stage, number, end))
            for number in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        while time.monotonic() < end:
            self._memory.append(_rss(stage))
            time.sleep(self._seconds / 60)
        for client in clients:
            client.join()

    def _press(self, stage: Stage, number: int, end: float) -> None:
        """Hits with forged tokens, lists, and leads for a campaign that is not started."""
        draft = stage.campaign(1, start=False)
        leads = f"/campaigns/{draft.campaign_id}/leads"
        with stage.platform.api() as api:
            for turn in itertools.count():
                if time.monotonic() > end:
                    return
                more = [{"email": f"o{number}t{turn}n{n}@people.test"} for n in range(_BATCH)]
                self._count(lambda: api.get(f"{stage.platform.url}/o/forged{number}.gif"))
                self._count(lambda: api.get(f"/deliveries?recipient=o{number}@people.test"))
                if turn < _MOST_BATCHES:
                    self._count(lambda: api.post(leads, json=more))  # noqa: B023 (called at once)

    def _count(self, ask: Callable[[], httpx.Response]) -> None:
        with contextlib.suppress(httpx.HTTPError):  # the edge may also close the connection
            self._answers[ask().status_code] += 1

    def flat(self, stage: Stage) -> None:
        """Memory did not grow; every answer was a real one."""
        third = len(self._memory) // 3
        for name in self._memory[-1]:
            early = max(sample.get(name, 0) for sample in self._memory[: third + 1])
            late = max(sample.get(name, 0) for sample in self._memory[-third:])
            assert late < early * _GROWTH + _NOISE_BYTES, f"{name}: {early} then {late} bytes"
        assert sum(self._answers.values()) > 100, self._answers
        assert not self._answers.keys() - (_ANSWERS | {404}), self._answers


def _rss(stage: Stage) -> dict[str, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        for name, pid in _services(stage)
    }


def _services(stage: Stage) -> Iterator[tuple[str, int]]:
    for name in ("dispatcher", "inbox_watcher", "sender_registry", "tracker", "mail_provisioner"):
        if pid := stage.platform.pid(name):
            yield name, pid
