"""The SMTP transport alone beside what others send with, all into one `smtp-sink`.

2 KB mails over 10 connections of loopback, plain TCP, one process each; then 50 KB mails, a server
without PIPELINING, and two processes beside two of the yardstick.
"""

from collections.abc import Callable
from functools import partial

from tests.bench.clients import (
    Client,
    Job,
    Run,
    both,
    nodemailer,
    python_peer,
    smtp_source,
)
from tests.bench.figures import Figure, figure, skipped
from tests.bench.peers.postfix_relay import missing as missing_postfix_relay
from tests.bench.peers.postfix_relay import relay
from tests.bench.rounds import Contest, Runs
from tests.bench.sink import Sink
from tests.support import mailpeers

_YARDSTICK = "smtp-source -d"
_OURS = "ours"

#: The slow peers send fewer, their rate being the same after half a second; what is quick sends a second's
#: worth all the same: else starting a process and opening ten connections is a part of what a mail costs.
_QUICK = frozenset({_YARDSTICK, _OURS})
#: name -> client, and how many mails it sends in about a second
_PEERS: dict[str, tuple[Client, int]] = {
    _YARDSTICK: (smtp_source, 20_000),
    _OURS: (python_peer("ours"), 30_000),
    "Nodemailer pool, ready bytes": (nodemailer(compose=False), 2_000),
    "Nodemailer pool, composing": (nodemailer(compose=True), 1_200),
    "aiosmtplib.send()": (python_peer("aiosmtplib_send"), 500),
    "aiosmtplib, kept connections": (python_peer("aiosmtplib_kept"), 4_000),
    "smtplib, one connection": (python_peer("smtplib_loop"), 2_500),
}


def results(quick: bool) -> list[Figure]:
    if reason := Sink.missing():
        return [skipped("wire", reason)]
    mailpeers.prepare()
    rounds, share = (3, 0.25) if quick else (5, 0.5)
    return [
        *_small(rounds, share),
        *_large(rounds),
        *_one_at_a_time(rounds),
        *_two_processes(rounds),
    ]


def _small(rounds: int, share: float) -> list[Figure]:
    clients: dict[str, Callable[[], Run]] = {}
    missing: dict[str, str] = {}
    with Sink() as sink:
        for name, (client, count) in _PEERS.items():
            reason = mailpeers.missing_node() if "Nodemailer" in name else None
            if reason:
                missing[name] = reason
            else:
                mails = count if name in _QUICK else int(count * share)
                clients[name] = partial(client, Job(sink.port, mails), True)
        if reason := missing_postfix_relay():
            missing["Postfix relaying its queue"] = reason
        else:
            clients["Postfix relaying its queue"] = partial(relay, int(1_000 * share))
        contest = Contest("2 KB", _YARDSTICK, clients, missing)
        goals = {_OURS: ">= 1.8 x", f"{_OURS}, CPU": "<= 12 µs/mail"}
        runs = contest.run(rounds)
        return [*contest.figures(runs, goals), *_in_the_kernel(contest, runs)]


def _in_the_kernel(contest: Contest, runs: Runs) -> list[Figure]:
    """What is left for the language: one write and one read a mail is what pipelining needs at least."""
    if _OURS not in runs:
        return []
    ours, theirs = ([run.kernel_us for run in runs[name]] for name in (_OURS, _YARDSTICK))
    name = f"{contest.title}: {_OURS}, of the client's CPU in the kernel"
    return [figure(name, ours, "µs/mail", peer=theirs, against=_YARDSTICK)]


def _large(rounds: int) -> list[Figure]:
    with Sink() as sink:
        job = Job(sink.port, 5_000, size_bytes=50_000)
        return _beside_yardstick("50 KB", job, rounds, ">= 1.1 x")


def _one_at_a_time(rounds: int) -> list[Figure]:
    with Sink(pipelining=False) as sink:
        job = Job(sink.port, 15_000)
        return _beside_yardstick("2 KB, no PIPELINING", job, rounds, ">= 1.0 x")


def _beside_yardstick(title: str, job: Job, rounds: int, goal: str) -> list[Figure]:
    clients = {
        _YARDSTICK: partial(smtp_source, job, True),
        _OURS: partial(python_peer("ours"), job, True),
    }
    contest = Contest(title, _YARDSTICK, clients)
    return contest.figures(contest.run(rounds), {_OURS: goal})


def _two_processes(rounds: int) -> list[Figure]:
    """A sink each; nothing is pinned: two clients and two sinks share the cores."""
    count = 20_000
    with Sink(pinned=False) as one, Sink(pinned=False) as two:
        jobs = (Job(one.port, count), Job(two.port, count))
        yardstick = f"two {_YARDSTICK}"
        clients = {
            yardstick: partial(both, smtp_source, *jobs),
            "two of ours": partial(both, python_peer("ours"), *jobs),
        }
        contest = Contest("2 KB, two processes", yardstick, clients)
        return contest.figures(contest.run(rounds), {"two of ours": ">= 1.9 x"})
