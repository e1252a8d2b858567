"""Rounds: every client once, then every client again, so that what disturbs one disturbs its neighbour."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.clients import ClientFailed, Run
from tests.bench.figures import Figure, figure, skipped

Runs = dict[str, list[Run]]


@dataclass(frozen=True, slots=True)
class Contest:
    """Named clients, each a function of nothing that runs it once; `yardstick` is one of the names."""

    title: str
    yardstick: str
    clients: Mapping[str, Callable[[], Run]]
    missing: Mapping[str, str] = field(default_factory=dict)  # client -> why it cannot run here

    def run(self, rounds: int) -> Runs:
        """One list a client, the same round at the same place. A client that fails once is out."""
        runs: Runs = {name: [] for name in self.clients}
        out: dict[str, str] = {}
        for number in range(rounds):
            for name, client in self.clients.items():
                if name in out:
                    continue
                try:
                    runs[name].append(client())
                except ClientFailed as error:
                    out[name] = f"failed in round {number + 1}: {error}"
                    print(f"  {self.title}, {name} {out[name]}", flush=True)
                time.sleep(0.05)
        for name in out:
            del runs[name]
        if self.yardstick not in runs:
            raise RuntimeError(f"{self.title}: nothing to measure by: {out[self.yardstick]}")
        return runs

    def figures(self, runs: Runs, goals: Mapping[str, str]) -> list[Figure]:
        """A rate and its CPU a mail for each client; the peers that are missing, with the reason."""
        found = []
        base = runs[self.yardstick]
        for name, mine in runs.items():
            label = f"{self.title}: {name}"
            peer: dict[str, Any] = {}
            if name != self.yardstick:
                peer = {"peer": _rates(base), "against": self.yardstick}
            found.append(figure(label, _rates(mine), "mails/s", goal=goals.get(name, ""), **peer))
            if all(run.cpu_seconds for run in mine):
                goal = goals.get(f"{name}, CPU", "")
                cpu = [run.cpu_us for run in mine]
                if peer:
                    peer = {"peer": [run.cpu_us for run in base], "against": self.yardstick}
                found.append(figure(f"{label}, client CPU", cpu, "µs/mail", goal=goal, **peer))
        absent = set(self.clients) - set(runs)
        reasons = dict.fromkeys(absent, "it failed, see the output") | dict(self.missing)
        found += [skipped(f"{self.title}: {name}", why) for name, why in reasons.items()]
        return found


def ratio(name: str, ours: Sequence[Run], theirs: Sequence[Run], against: str, goal: str) -> Figure:
    """One more comparison of two clients of the same rounds."""
    return figure(name, _rates(ours), "mails/s", peer=_rates(theirs), against=against, goal=goal)


def _rates(runs: Sequence[Run]) -> list[float]:
    return [run.rate for run in runs]
