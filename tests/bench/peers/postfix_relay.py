"""Postfix relaying its own queue: filled with nobody delivering, then timed until the sink has all."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.bench.clients import ClientFailed, Job, Run, smtp_source
from tests.bench.sink import Sink
from tests.support.mailconfig import Places, make_queue
from tests.support.mailpeers import missing_postfix
from tests.support.ports import free_ports
from tests.support.postfixmaster import (
    QUEUE_MANAGER,
    listener,
    master_command,
    write_master_cf,
)
from tests.support.process import ServerProcess, listens

_PATIENCE_SECONDS = 120


def missing() -> str | None:
    """Why it cannot run here, or None."""
    if os.geteuid() != 0:
        return "Postfix's master process needs root"
    return missing_postfix("master", "smtp-source")


def relay(count: int) -> Run:
    """Delivers `count` mails of 2 KB; the processes are many, so their CPU is not told (0)."""
    root = Path(tempfile.mkdtemp(prefix="pf", dir="/tmp"))
    root.chmod(0o755)
    places = Places(root, root / "none", root / "none")
    try:
        with Sink(until=count) as sink:
            _configure(places, sink.port)
            _fill(places, count)
            return Run(count, _deliver(places, sink), 0.0)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _configure(places: Places, sink_port: int) -> None:
    places.postfix.mkdir()
    places.logs.mkdir()
    (places.postfix / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {places.queue}
data_directory = {places.data}
maillog_file = {places.logs}/postfix.log
maillog_file_prefixes = {places.logs}
myhostname = relay.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{sink_port}
in_flow_delay = 0
smtp_destination_concurrency_limit = 10
initial_destination_concurrency = 10
""")
    make_queue(places)


def _master(places: Places, port: int) -> ServerProcess:
    """A `port` listens and nothing is delivered; 0 delivers what is there and listens nowhere."""
    write_master_cf(places, [listener(port) if port else QUEUE_MANAGER])
    return ServerProcess(master_command(places), places.logs / "master.out")


def _fill(places: Places, count: int) -> None:
    port = free_ports(1)[0]
    master = _master(places, port)
    try:
        master.wait_until(lambda: listens(port), "Postfix listening")
        smtp_source(Job(port, count), False)
    finally:
        master.kill()


def _deliver(places: Places, sink: Sink) -> float:
    began = time.perf_counter()
    master = _master(places, 0)
    try:
        while sink.running:
            if time.perf_counter() - began > _PATIENCE_SECONDS:
                log = (places.logs / "postfix.log").read_text()[-2000:]
                raise ClientFailed(f"the queue is not delivered in {_PATIENCE_SECONDS} s\n{log}")
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        master.kill()
