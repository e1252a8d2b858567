"""`make chaos`: breaks things on purpose while mail is sent, and counts what it cost.

QUICK=1 runs the short form; SEED=n another seed; ONLY=text the scenarios with that text; LIMIT=n at
most n runs of each. Writes docs/chaos/report.json and report.md (not in the short form, nor with ONLY).
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.accounting import Result, account
from tests.chaos.faults import Scenario, scenarios
from tests.chaos.stage import Stage, open_stage

_REPORT = Path("docs/chaos")
_QUICK_MAILS = 400


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED", "1"))
    only = os.environ.get("ONLY", "")
    limit = int(os.environ.get("LIMIT", "1000000"))
    rows = []
    for scenario in scenarios():
        runs = min(scenario.quick if quick else scenario.runs, limit)
        if runs and only in scenario.name:
            mails = _QUICK_MAILS if quick else scenario.mails
            results = _play(scenario, runs, mails, random.Random(f"{seed} {scenario.name}"))
            rows.append(_row(scenario, results))
            print(_line(rows[-1]), flush=True)
            if not quick and not only:
                _write(rows, seed)  # as it grows: a whole run takes hours
    return 1 if any(_bad(row) for row in rows) else 0


def _play(scenario: Scenario, runs: int, mails: int, rng: random.Random) -> list[Result]:
    """All runs of a scenario on one platform; a fail point needs a fresh one each time."""
    if scenario.fail_point:
        return [_at_point(scenario, mails, rng) for _ in range(runs)]
    with (
        tempfile.TemporaryDirectory(prefix="chaos.") as directory,
        open_stage(Path(directory), small_disk=scenario.small_disk) as stage,
    ):
        return [_run(stage, scenario, mails, rng) for _ in range(runs)]


def _at_point(scenario: Scenario, mails: int, rng: random.Random) -> Result:
    with tempfile.TemporaryDirectory(prefix="chaos.") as directory:
        once = Path(directory) / "once"
        once.touch()
        count = rng.randint(1, 10)
        with open_stage(Path(directory), f"{scenario.fail_point}:{count}@{once}") as stage:
            result = _run(stage, scenario, mails, rng)
        assert not once.exists(), f"{scenario.fail_point} was never reached"
        return result


def _run(stage: Stage, scenario: Scenario, mails: int, rng: random.Random) -> Result:
    run = stage.campaign(mails)
    scenario.fault(stage, rng)
    over = time.monotonic()
    stage.wait_ready()
    recovered = time.monotonic() - over
    stage.wait_finished(run)
    if scenario.after:
        scenario.after(stage)
    return account(stage, run, recovered)


def _row(scenario: Scenario, results: Sequence[Result]) -> dict[str, object]:
    names = (
        "accepted",
        "lost",
        "duplicated",
        "unexplained",
        "unknown",
        "events_missing",
        "events_doubled",
    )
    row: dict[str, object] = {"fault": scenario.name, "runs": len(results)}
    row |= {name: sum(getattr(result, name) for result in results) for name in names}
    row["recover_seconds_max"] = max(result.recover_seconds for result in results)
    for result in results:
        for detail in result.details:
            print(f"    {scenario.name}: {detail}", file=sys.stderr)
    return row


def _bad(row: dict[str, object]) -> bool:
    return any(row[name] for name in ("lost", "unexplained", "events_missing", "events_doubled"))


def _line(row: dict[str, object]) -> str:
    return "  ".join(f"{name} {value}" for name, value in row.items())


def _write(rows: list[dict[str, object]], seed: int) -> None:
    _REPORT.mkdir(parents=True, exist_ok=True)
    (_REPORT / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    header = list(rows[0])
    table = [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(str(row[name]) for name in header)} |" for row in rows),
    ]
    text = (
        "# What a crash costs\n\n"
        f"Made by `make chaos` with seed {seed}. A run is a campaign of 1,000 mails with one fault in it.\n"
        "`duplicated` are second acceptances by the mail world; `unexplained` those of deliveries that\n"
        "were never in doubt (RFC 1047). `unknown` deliveries were in doubt and settled by evidence.\n\n"
    )
    (_REPORT / "report.md").write_text(text + "\n".join(table) + "\n")


if __name__ == "__main__":
    sys.exit(main())
