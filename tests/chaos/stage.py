"""Where chaos happens: the whole platform with its mail world, and campaigns of plain mails through it."""

import contextlib
import csv
import io
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from postfleet.secrets import KeyRing
from tests.chaos.clock import Clock
from tests.support.platform import Platform

_SENDERS = ("ann@one.test", "ben@two.test", "cat@three.test", "dan@four.test")
_ENVIRONMENT = {
    "POSTFLEET_SENDER_REGISTRY_ENFORCE_AGE_RAMP": "false",
    "POSTFLEET_DISPATCHER_RETRY_BASE_SECONDS": "2",
    "POSTFLEET_DISPATCHER_BREAKER_PAUSE_SECONDS": "2",
    "POSTFLEET_DISPATCHER_PAUSE_MIN_SENDS": "100000",  # faults are played, not bad lists
    "POSTFLEET_DISPATCHER_LEASE_SECONDS": "10",
    "POSTFLEET_DISPATCHER_CONNECTIONS_PER_SENDER": "5",
    "POSTFLEET_DISPATCHER_UNKNOWN_AFTER_SECONDS": "60",
    "POSTFLEET_INBOX_WATCHER_EVIDENCE_AFTER_SECONDS": "2",
}
_PATIENCE_SECONDS = 240.0
_EARLIER = timedelta(days=3)  # certificates are made then, so that a jump back finds them valid


@dataclass(frozen=True, slots=True)
class Setting:
    """What is special about a stage; `small_disk` names the data directory that gets its own."""

    fail_point: str = ""
    small_disk: str = ""
    daily_limit: int = 100_000  # of each sender
    environment: Mapping[str, str] = field(default_factory=dict)
    clock: bool = False  # the services read a clock of the stage's own, see `Clock`


@dataclass(frozen=True, slots=True)
class Run:
    """One campaign: its id, the addresses it was to mail, and when it began."""

    campaign_id: str
    recipients: frozenset[str]
    began: datetime


class Stage:
    """A platform with four senders whose providers keep Sent copies, as Gmail does."""

    def __init__(self, directory: Path, setting: Setting = Setting()) -> None:
        # A key of its own: with a disk already in its place the directory does not look new.
        env = {**_ENVIRONMENT, "MASTER_KEY": KeyRing.generate(), **setting.environment}
        if setting.fail_point:
            env["POSTFLEET_FAIL_POINT"] = setting.fail_point
        self.clock = Clock(directory / "clock") if setting.clock else None
        if self.clock:
            env |= self.clock.environment()
        self.platform = Platform(directory / "data", sandbox=True, env=env)
        self._daily_limit = setting.daily_limit
        self._number = 0
        self.last: Run | None = None  # the newest

    def start(self) -> None:
        if self.clock:
            self.clock.jump(-_EARLIER)
        self.platform.start()
        self.platform.wait_for("is ready", _PATIENCE_SECONDS)
        with self.platform.api() as api:
            for address in _SENDERS:
                self._register(api, address)
        if self.clock:
            self.clock.jump(_EARLIER)

    def _register(self, api: httpx.Client, address: str) -> None:
        where = self.platform.endpoints()
        account = {"address": address, "password": "a secret of this run", "saves_sent": True}
        control = f"http://127.0.0.1:{where['control_port']}/accounts"
        httpx.post(control, json=account, trust_env=False).raise_for_status()
        form = {
            "email_address": address,
            "inbox_type": "CUSTOM_SMTP",
            "daily_limit": self._daily_limit,
            "account_age_days": 365,
            "smtp_host": "localhost",
            "smtp_port": where["smtp_port"],
            "smtp_password": "a secret of this run",
            "imap_host": "localhost",
            "imap_port": where["imap_port"],
            "imap_password": "a secret of this run",
            "imap_use_ssl": True,
            "tags": ["chaos"],
        }
        answer = api.post("/sender-accounts", json=form)
        assert answer.status_code == 201, answer.text

    def campaign(self, mails: int, start: bool = True, behaviour: str = "accept") -> Run:
        """A new campaign of one step to that many people; by default they do nothing with it."""
        began = datetime.now(UTC)
        self._number += 1
        recipients = [f"{behaviour}+r{self._number}n{n}@people.test" for n in range(mails)]
        body = {
            "name": f"chaos {self._number}",
            "senders": ["chaos"],
            "steps": [{"subject": "Hello {{ name }}", "body_text": "A mail for {{ name }}.\n"}],
            "postal_address": "1 Example Street",
        }
        sheet = io.StringIO()
        writer = csv.writer(sheet)
        writer.writerow(["email", "name"])
        writer.writerows((address, f"Person {n}") for n, address in enumerate(recipients))
        with self.platform.api() as api:
            campaign_id = _ok(api.post("/campaigns", json=body))["id"]
            headers = {"Content-Type": "text/csv"}
            path = f"/campaigns/{campaign_id}/leads"
            report = _ok(api.post(path, content=sheet.getvalue().encode(), headers=headers))
            assert report["imported"] == mails, report
        run = self.last = Run(campaign_id, frozenset(recipients), began)
        if start:
            self.start_campaign(run)
        return run

    def start_campaign(self, run: Run) -> None:
        with self.platform.api() as api:
            _ok(api.post(f"/campaigns/{run.campaign_id}/start"))

    def accepted(self) -> int:
        return int(self.platform.sandbox("/summary")["accepted"])

    def finished(self, run: Run) -> bool:
        """Whether the campaign is completed; False while the platform does not answer."""
        with contextlib.suppress(httpx.HTTPError), self.platform.api() as api:
            answer = api.get(f"/campaigns/{run.campaign_id}")
            return answer.is_success and answer.json()["status"] == "completed"
        return False

    def ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.platform.url}/readyz", timeout=5, trust_env=False).is_success
        return False

    def wait_finished(self, run: Run) -> float:
        """Seconds until the campaign is completed."""
        return self.platform.wait_until(lambda: self.finished(run), _PATIENCE_SECONDS, "completed")

    def wait_ready(self, seconds: float = 90) -> float:
        return self.platform.wait_until(self.ready, seconds, "ready again")


def _ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


@contextlib.contextmanager
def open_stage(directory: Path, setting: Setting = Setting()) -> Iterator[Stage]:
    stage = Stage(directory, setting)
    disk = setting.small_disk
    with _disk(stage.platform.data / disk) if disk else contextlib.nullcontext():
        yield from _running(stage)


def _running(stage: Stage) -> Iterator[Stage]:
    try:
        stage.start()
        yield stage
    finally:
        with contextlib.suppress(Exception):
            stage.platform.stop()
        stage.platform.kill_all()


@contextlib.contextmanager
def _disk(place: Path) -> Iterator[None]:
    """A disk of 48 MB, in memory; needs root."""
    place.mkdir(parents=True, mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs", str(place)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
