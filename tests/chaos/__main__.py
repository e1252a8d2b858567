"""`make chaos`: breaks things on purpose while mail is sent, and counts what it cost.

QUICK=1 runs the short form, most of it on one platform; SEED=n another seed; ONLY=text the scenarios
with that text; LIMIT=n at most n runs of each. Writes docs/chaos/report.json and report.md as it goes,
for the whole takes hours: rows of scenarios that are not played stay; ADD=1 adds to a row instead of
beginning it anew. The short form writes none.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.chaos.accounting import Result, account
from tests.chaos.report import Report, Row, bad, line, row_of
from tests.chaos.scenarios import Scenario, scenarios
from tests.chaos.stage import Run, Stage, open_stage
from tests.chaos.stages import Stages

_QUICK_MAILS = 400
_RUNS_A_STAGE = 20  # the mail world keeps every mail in memory


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stage is taken down
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED", "1"))
    only = os.environ.get("ONLY", "")
    limit = int(os.environ.get("LIMIT", "1000000"))
    report = Report([scenario.name for scenario in scenarios()], silent=quick)
    rows: list[Row] = []
    with Stages(shared=quick) as stages:
        for scenario in scenarios():
            runs = min(scenario.quick if quick else scenario.runs, limit)
            if not runs or only not in scenario.name:
                continue
            if reason := scenario.missing():
                print(f"not played: {scenario.name}: {reason}", flush=True)
                continue
            mails = min(scenario.mails, _QUICK_MAILS) if quick else scenario.mails
            rng = random.Random(f"{seed} {scenario.name}")
            rows.append(_play(_results(stages, scenario, runs, mails, rng), scenario.name, report))
            print(line(rows[-1]), flush=True)
    return 1 if any(map(bad, rows)) else 0


def _play(played: Iterator[Result], name: str, report: Report) -> Row:
    """All runs of a scenario; what broke a promise that has no column is told as `broken`."""
    results: list[Result] = []
    broken = ""
    started = time.monotonic()
    try:
        for result in played:
            results.append(result)
            report.tell(row_of(name, results, ""))
            for detail in result.details:
                print(f"    {name}: {detail}", file=sys.stderr)
    except AssertionError as error:
        print(f"    {name}: {error}", file=sys.stderr)
        broken = (str(error) or repr(error)).splitlines()[0]
    print(f"    {len(results)} runs in {time.monotonic() - started:.0f} s", file=sys.stderr)
    row = row_of(name, results, broken)
    report.tell(row)
    return row


def _results(
    stages: Stages, scenario: Scenario, runs: int, mails: int, rng: random.Random
) -> Iterator[Result]:
    """Many on one platform; a fail point needs a fresh one each time."""
    if scenario.setting.fail_point:
        for _ in range(runs):
            yield _at_point(scenario, mails, rng)
        return
    for start in range(0, runs, _RUNS_A_STAGE):
        end = min(start + _RUNS_A_STAGE, runs)
        with stages.of(scenario) as stage:
            for first in range(start, end, scenario.group):
                yield from _group(stage, scenario, min(scenario.group, end - first), mails, rng)


def _at_point(scenario: Scenario, mails: int, rng: random.Random) -> Result:
    with tempfile.TemporaryDirectory(prefix="chaos.") as directory:
        once = Path(directory) / "once"
        once.touch()
        point = f"{scenario.setting.fail_point}:{rng.randint(1, 10)}@{once}"
        setting = replace(scenario.setting, fail_point=point)
        with open_stage(Path(directory), setting) as stage:
            result = _group(stage, scenario, 1, mails, rng)[0]
        assert not once.exists(), f"{scenario.setting.fail_point} was never reached"
        return result


def _group(
    stage: Stage, scenario: Scenario, runs: int, mails: int, rng: random.Random
) -> list[Result]:
    began: dict[Run, float] = {}
    for _ in range(runs):
        run = stage.campaign(mails, start=scenario.starts)
        scenario.fault(stage, rng)
        over = time.monotonic()
        stage.wait_ready()
        began[run] = time.monotonic() - over
        print(f"    {scenario.name}: ready after {began[run]:.1f} s", file=sys.stderr, flush=True)
    for number, run in enumerate(began, start=1):
        print(f"    {scenario.name}: waiting for {number} of {runs}", file=sys.stderr, flush=True)
        if scenario.to_the_end:
            scenario.to_the_end(stage, run)
        stage.wait_finished(run)
    if scenario.after:
        scenario.after(stage)
    return account(stage, began)


if __name__ == "__main__":
    sys.exit(main())
