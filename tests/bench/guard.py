"""The short bench of CI: ratios of CPU time, which a noisy machine leaves alone, against recorded ones.

    python -m tests.bench.guard            measures and compares
    python -m tests.bench.guard --write    records docs/benchmarks/guard.json anew

Each ratio is the yardstick's CPU a mail over ours, so more is better; formed inside each round, the
median of the rounds. A ratio that has fallen by more than a quarter fails.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench.clients import Client, Job, python_peer, smtp_source
from tests.bench.compose import standard, tracked_mails
from tests.bench.sink import Sink

RECORDED = Path("docs/benchmarks/guard.json")
ALLOWED_FALL = 0.25
_MAILS = 4_000

Round = dict[str, float]


def recorded() -> dict[str, float]:
    found: dict[str, float] = json.loads(RECORDED.read_text())["ratios"]
    return found


def measure(rounds: int) -> dict[str, float]:
    """Name -> median ratio."""
    with ExitStack() as stack:
        deep = stack.enter_context(Sink())
        plain = stack.enter_context(Sink(pipelining=False))
        found = [_round(deep.port, plain.port) for _ in range(rounds)]
    return {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}


def fallen(now: dict[str, float], before: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Name -> (recorded, measured) of those that have fallen by more than a quarter."""
    return {
        name: (value, now[name])
        for name, value in before.items()
        if now[name] < value * (1 - ALLOWED_FALL)
    }


def _round(deep: int, plain: int) -> Round:
    ours, kept = python_peer("ours"), python_peer("aiosmtplib_kept")
    mine, reference = _cpu(ours, deep, _MAILS), _cpu(smtp_source, deep, _MAILS)
    return {
        "smtp-source / our transport": reference / mine,
        "aiosmtplib, kept connections / our transport": _cpu(kept, deep, _MAILS // 6) / mine,
        "smtp-source / our transport, no PIPELINING": _cpu(smtp_source, plain, _MAILS)
        / _cpu(ours, plain, _MAILS),
        "EmailMessage / our compiled message": _own_cpu(standard, 60)
        / _own_cpu(tracked_mails(), 1_000),
    }


def _cpu(client: Client, port: int, count: int) -> float:
    return client(Job(port, count), False).cpu_us


def _own_cpu(compose: Callable[[int], bytes], count: int) -> float:
    """Seconds of this thread for one."""
    compose(0)
    began = time.thread_time()
    for number in range(count):
        compose(number)
    return (time.thread_time() - began) / count


def main() -> int:
    now = measure(5)
    for name, value in now.items():
        print(f"{name}: {value}")
    if "--write" in sys.argv:
        RECORDED.parent.mkdir(parents=True, exist_ok=True)
        RECORDED.write_text(json.dumps({"ratios": now}, indent=1) + "\n")
        return 0
    worse = fallen(now, recorded())
    for name, (before, value) in worse.items():
        print(f"FALLEN by more than a quarter: {name}: {before} was recorded, {value} measured")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
