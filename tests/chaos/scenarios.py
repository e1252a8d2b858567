"""Every scenario: its fault, how often it is played, and what must be true afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from postfleet.failpoints import POINTS
from tests.chaos import clocks, deadlines, faults
from tests.chaos.clock import Clock
from tests.chaos.faults import Fault
from tests.chaos.overload import overload
from tests.chaos.poison import only_poison_is_dead, poison
from tests.chaos.stage import Run, Setting, Stage

SERVICES = ("dispatcher", "inbox_watcher", "sender_registry", "tracker", "mail_provisioner")
#: played in the short form too; tests/integration/test_dispatcher_fail_points.py tries them all
_SHORT_POINTS = ("after-attempt", "after-dot", "after-settle")
#: where the dispatcher is killed while it sends
DISPATCHER_POINTS = tuple(p for p in POINTS if not p.startswith(("consume", "intake", "outbox")))


@dataclass(frozen=True, slots=True)
class Scenario:
    """`runs` campaigns of `mails` each, with one fault in each; `quick` runs for CI.

    The next run of a group begins while the one before still recovers. `to_the_end` brings a
    campaign there that waits for something; `after` looks at the stage when a group is over.
    """

    name: str
    fault: Fault
    runs: int
    quick: int
    mails: int = 1000
    group: int = 10
    setting: Setting = field(default_factory=Setting)
    starts: bool = True  # the campaign starts before the fault
    to_the_end: Callable[[Stage, Run], None] | None = None
    after: Callable[[Stage], None] | None = None
    missing: Callable[[], str] = str  # why it cannot be played here, or ""


def scenarios() -> list[Scenario]:
    """The quick ones first: the report grows as they are played."""
    return [*_kills(), *_servers(), *_bus(), *_restarts(), *_clocks(), *_overloads()]


def _kills() -> list[Scenario]:
    points = [
        Scenario(
            f"kill -9 dispatcher {point}",
            faults.nothing,
            3,
            int(point in _SHORT_POINTS),
            setting=Setting(fail_point=f"dispatcher/{point}"),
        )
        for point in DISPATCHER_POINTS
    ]
    return [
        *points,
        Scenario("kill -9 dispatcher, random", faults.kill("dispatcher"), 200, 3),
        *(
            Scenario(f"kill -9 {service}, random", faults.kill(service), 20, 1)
            for service in SERVICES[1:]
        ),
    ]


def _servers() -> list[Scenario]:
    return [
        Scenario("kill -9 nats", faults.kill("nats"), 50, 2),
        Scenario("pause nats 30 s", faults.pause("nats", 30), 20, 0, group=5),
        Scenario("pause nats 5 s", faults.pause("nats", 5), 5, 1),
        Scenario("kill -9 database", faults.kill("database"), 50, 2),
        Scenario("wiped nats store", faults.wipe_nats, 3, 1, group=1, after=faults.announce_again),
        _full_disk("full disk under nats", "nats"),
        _full_disk("full disk under the database", "mongo"),
    ]


def _full_disk(name: str, directory: str) -> Scenario:
    fault = faults.full_disk(directory)
    return Scenario(name, fault, 3, 1, group=1, setting=Setting(small_disk=directory))


def _bus() -> list[Scenario]:
    return [
        Scenario("1 % poison events", poison, 3, 1, group=1, after=only_poison_is_dead),
        Scenario(
            "ack deadline 5 s, SMTP transaction 30 s",
            deadlines.slow_dots,
            2,
            1,
            mails=100,
            group=1,
            starts=False,
            after=deadlines.came_again,
        ),
    ]


def _overloads() -> list[Scenario]:
    long, short = overload(600), overload(15)
    return [
        Scenario("overload for 15 s", short, 1, 1, after=short.flat),
        Scenario("overload for 10 minutes", long, 1, 0, after=long.flat),
    ]


def _restarts() -> list[Scenario]:
    return [
        Scenario(f"SIGTERM {service}", faults.terminate(service), 20 if number == 0 else 5, 1)
        for number, service in enumerate(SERVICES)
    ]


def _clocks() -> list[Scenario]:
    hour, day = timedelta(hours=1), timedelta(days=1)
    table = {
        "clock +1 h": (faults.jump(hour), 2, 0),
        "clock -1 h": (faults.jump(-hour), 2, 0),
        "clock +1 day": (faults.jump(day), 2, 0),
        "clock -1 day": (faults.jump(-day), 2, 0),
        "clocks go back (DST)": (clocks.clocks_go_back, 2, 0),
    }
    return [
        Scenario(
            name,
            fault,
            runs,
            quick,
            mails=600,
            group=1,
            setting=Setting(clock=True, daily_limit=clocks.DAILY_LIMIT),
            to_the_end=clocks.on_to_the_end,
            after=clocks.caps_kept,
            missing=Clock.missing,
        )
        for name, (fault, runs, quick) in table.items()
    ]
