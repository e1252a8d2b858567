"""The faults, each a function that is applied while a campaign runs and returns when it is over.

Everything is bounded and talks to 127.0.0.1 only; only processes of the stage are signalled.
"""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from postfleet.failpoints import POINTS
from tests.chaos.stage import Stage

Fault = Callable[[Stage, random.Random], None]

SERVICES = ("dispatcher", "inbox_watcher", "sender_registry", "tracker", "mail_provisioner")
#: where the dispatcher is killed while it sends
DISPATCHER_POINTS = tuple(p for p in POINTS if not p.startswith(("consume", "outbox")))


@dataclass(frozen=True, slots=True)
class Scenario:
    """`runs` campaigns of `mails` each, with one fault in each; `quick` runs for CI."""

    name: str
    fault: Fault
    runs: int
    quick: int
    mails: int = 1000
    fail_point: str = ""


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
        Scenario("SIGTERM dispatcher", terminate("dispatcher"), 20, 2),
    ]
    return [*named, *random_kills, *servers]
