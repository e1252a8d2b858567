"""The faults, each a function that is applied while a campaign runs and returns when it is over.

Everything is bounded and talks to 127.0.0.1 only; only processes of the stage are signalled.
"""

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from postfleet.failpoints import POINTS
from tests.chaos.stage import Stage

Fault = Callable[[Stage, random.Random], None]

SERVICES = ("dispatcher", "inbox_watcher", "sender_registry", "tracker", "mail_provisioner")
#: where the dispatcher is killed while it sends
DISPATCHER_POINTS = tuple(p for p in POINTS if not p.startswith(("consume", "intake", "outbox")))


@dataclass(frozen=True, slots=True)
class Scenario:
    """`runs` campaigns of `mails` each, with one fault in each; `quick` runs for CI."""

    name: str
    fault: Fault
    runs: int
    quick: int
    mails: int = 1000
    fail_point: str = ""
    small_disk: str = ""  # the directory of the data directory that gets a disk of its own
    after: Callable[[Stage], None] | None = None


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
    def fault(stage: Stage, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.0, 2.0))
        stage.platform.signal(program, signal.SIGTERM)

    return fault


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


def at_point(stage: Stage, rng: random.Random) -> None:
    """The process ends itself at its fail point; nothing to do from outside."""


def scenarios() -> list[Scenario]:
    named = [
        Scenario(f"kill -9 dispatcher {point}", at_point, 3, 1, fail_point=f"dispatcher/{point}")
        for point in DISPATCHER_POINTS
    ]
    random_kills = [
        Scenario("kill -9 dispatcher, random", kill("dispatcher"), 200, 3),
        *(Scenario(f"kill -9 {service}, random", kill(service), 20, 1) for service in SERVICES[1:]),
    ]
    servers = [
        Scenario("kill -9 nats", kill("nats"), 50, 2),
        Scenario("pause nats 30 s", pause("nats", 30), 20, 0),
        Scenario("pause nats 5 s", pause("nats", 5), 5, 1),
        Scenario("kill -9 database", kill("database"), 50, 2),
        Scenario("wiped nats store", wipe_nats, 3, 1, after=announce_again),
        Scenario("full disk under nats", full_disk("nats"), 3, 1, small_disk="nats"),
        Scenario("full disk under the database", full_disk("mongo"), 3, 1, small_disk="mongo"),
        Scenario("SIGTERM dispatcher", terminate("dispatcher"), 20, 2),
    ]
    return [*named, *random_kills, *servers]
