"""The faults, each a function that is applied while a campaign runs and returns when it is over.

Everything is bounded and talks to 127.0.0.1 only; only processes of the stage are signalled.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from datetime import timedelta

from tests.chaos.stage import Stage

Fault = Callable[[Stage, random.Random], None]


def kill(program: str) -> Fault:
    def fault(stage: Stage, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.0, 3.0))
        stage.platform.signal(program)

    return fault


def pause(program: str, seconds: float) -> Fault:
    def fault(stage: Stage, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.0, 2.0))
        stage.platform.signal(program, signal.SIGSTOP)
        time.sleep(seconds)
        stage.platform.signal(program, signal.SIGCONT)

    return fault


def terminate(program: str) -> Fault:
    """As a rolling restart does; fails if it has to be killed."""

    def fault(stage: Stage, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.0, 2.0))
        pid = stage.platform.signal(program, signal.SIGTERM)
        stage.platform.wait_until(lambda: not _alive(pid), 60, f"end of {program}")

    return fault


def _alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def wipe_nats(stage: Stage, rng: random.Random) -> None:
    """NATS is killed and its store deleted: jobs and events are made again from the ledger."""
    time.sleep(rng.uniform(0.5, 2.0))
    stage.platform.signal("nats")
    shutil.rmtree(stage.platform.data / "nats", ignore_errors=True)
    (stage.platform.data / "nats").mkdir(exist_ok=True)


def announce_again(stage: Stage) -> None:
    """The one command that says a period's settlements again, under their old ids."""
    with stage.platform.api() as api:
        cursor = None
        while True:
            body = {"since": "2020-01-01T00:00:00Z"} | ({"cursor": cursor} if cursor else {})
            answer = api.post("/ledger/announce", json=body)
            assert answer.is_success, answer.text
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return


def full_disk(program: str) -> Fault:
    """The disk of a server is full for some seconds; it lies on a small one of its own."""

    def fault(stage: Stage, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.2, 1.0))
        filler = stage.platform.data / program / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(8)
        filler.unlink()

    return fault


def jump(by: timedelta) -> Fault:
    """The clock of all services jumps while mail is sent, and back when that was seen."""

    def fault(stage: Stage, rng: random.Random) -> None:
        assert stage.clock is not None
        time.sleep(rng.uniform(0.2, 1.5))
        stage.clock.jump(by)
        time.sleep(4)
        stage.clock.jump(-by)

    return fault


def nothing(stage: Stage, rng: random.Random) -> None:
    """The fault lies in the setting, or the process ends itself at its fail point."""
