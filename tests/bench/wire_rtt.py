"""A round trip of 20 ms with STARTTLS and AUTH: what the wire between cities leaves of each client.

Round trips are counted on the way, log-in and QUIT included, not derived from the rate: on a machine
whose cores are busy a mail takes longer than its round trips.
"""

from functools import partial

from tests.bench.clients import Client, Job, Run, nodemailer, python_peer
from tests.bench.faraway import FarAway
from tests.bench.figures import Figure, figure
from tests.bench.rounds import Contest, ratio
from tests.support import mailpeers

_ROUND_TRIP_SECONDS = 0.02
_CONNECTIONS = 10
_OURS, _KEPT, _POOL = "ours", "aiosmtplib, kept connections", "Nodemailer pool, ready bytes"

#: name -> client, and how many mails it sends in about four seconds
_CLIENTS: dict[str, tuple[Client, int]] = {
    _KEPT: (python_peer("aiosmtplib_kept"), 450),
    _OURS: (python_peer("ours"), 3_000),
    _POOL: (nodemailer(compose=False, warm=False), 850),
    "aiosmtplib.send()": (python_peer("aiosmtplib_send"), 30),  # in one: each logs in anyway
    "smtplib, one connection": (python_peer("smtplib_loop"), 45),
}


def results(quick: bool) -> list[Figure]:
    mailpeers.prepare()
    rounds, share = (3, 0.5) if quick else (5, 1.0)
    with FarAway(_ROUND_TRIP_SECONDS) as server:
        trips: dict[str, list[float]] = {name: [] for name in _CLIENTS}
        clients = {
            name: partial(_counted, server, client, int(count * share), trips[name])
            for name, (client, count) in _CLIENTS.items()
        }
        missing = {}
        if reason := mailpeers.missing_node():
            missing[_POOL] = reason
            del clients[_POOL]
        contest = Contest("20 ms, STARTTLS, AUTH", _KEPT, clients, missing)
        runs = contest.run(rounds)
    found = contest.figures(runs, {_OURS: ">= 4 x"})
    for name in runs:
        goal = "<= 1.1" if name == _OURS else ""
        label = f"{contest.title}: {name}, round trips a mail, log-in included"
        found.append(figure(label, trips[name], "round trips", goal=goal))
    if _POOL in runs and _OURS in runs:
        label = f"{contest.title}: ours beside Nodemailer's pool"
        found.append(ratio(label, runs[_OURS], runs[_POOL], _POOL, ">= 2 x"))
    return found


def _job(server: FarAway, count: int) -> Job:
    return Job(
        port=server.port,
        count=count,
        connections=_CONNECTIONS,
        recipient="accept+*@people.test",
        ca_file=server.ca_file,
        username=server.username,
        password=server.password,
    )


def _counted(server: FarAway, client: Client, count: int, trips: list[float]) -> Run:
    before = server.round_trips
    run = client(_job(server, count), False)
    trips.append((server.round_trips - before) / run.mails)
    return run
