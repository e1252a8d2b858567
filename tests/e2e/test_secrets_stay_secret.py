"""Secrets go through every flow of a platform at DEBUG; then everything that it keeps and says is read."""

import base64
import os
import secrets
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.collector import Collector
from tests.support.platform import Platform

_SECONDS = {
    "POSTFLEET_LOG_LEVEL": "DEBUG",
    "PYTHONFAULTHANDLER": "1",
    "POSTFLEET_INBOX_WATCHER_IDLE_SECONDS": "0.5",
}
_COMMAND = str(Path(sys.executable).with_name("postfleet"))


class Flows:
    """Every secret that went in or came out, with whose it is, and all that callers were answered."""

    def __init__(self, up: Platform, api: httpx.Client) -> None:
        self.up, self.api = up, api
        self.at = up.endpoints()
        self.told: dict[str, str] = {}  # secret -> user name
        self.answers: list[str] = []
        self.senders: list[str] = []

    def secret(self, user: str) -> str:
        made = f"canary-{secrets.token_hex(8)}"
        self.told[made] = user
        return made

    def mailbox(self, user: str) -> tuple[dict[str, Any], str]:
        """An account at the provider, and the form that registers it."""
        password = self.secret(user)
        control = f"http://127.0.0.1:{self.at['control_port']}/accounts"
        account = {"address": user, "password": password}
        assert httpx.post(control, json=account, trust_env=False).status_code == 201
        return {
            "email_address": user,
            "smtp_host": "127.0.0.1",
            "smtp_port": self.at["smtp_port"],
            "smtp_password": password,
            "imap_host": "127.0.0.1",
            "imap_port": self.at["imap_port"],
            "imap_password": password,
            "account_age_days": 100,
        }, password

    def ask(self, method: str, path: str, status: int, **how: Any) -> Any:
        """Ask the API; what it answers is kept, but for a secret that it tells once."""
        answer = self.api.request(method, path, **how)
        assert answer.status_code == status, answer.text
        self.answers.append(answer.text)
        return answer.json() if answer.content else None

    def play(self) -> None:
        self._senders()
        self._keys_and_relay()
        self._import()
        self._log_ins_of_dispatcher_and_watcher()

    def _senders(self) -> None:
        form, password = self.mailbox("ann@fleet.test")
        wrong = self.secret("ann@fleet.test")
        for broken in (
            {"smtp_password": wrong},
            {"smtp_port": "x", "smtp_username": {"$ne": wrong}},
            {"smtp_host": "no-such-host.invalid"},
            {wrong: wrong},
        ):
            answer = self.api.post("/sender-accounts", json={**form, **broken})
            assert answer.status_code == 422, answer.text
            if wrong not in broken:  # the name of an unknown field is no secret
                self.answers.append(answer.text)
        headers = {"Idempotency-Key": "once"}
        sender = self.ask("POST", "/sender-accounts", 201, json=form, headers=headers)
        self.ask("POST", "/sender-accounts", 201, json=form, headers=headers)
        self.senders.append(sender["id"])
        path = f"/sender-accounts/{sender['id']}"
        self.ask("POST", f"{path}/validate", 200)
        self.ask("PATCH", path, 422, json={"smtp_password": wrong})
        self.ask("PATCH", path, 200, json={"smtp_password": password, "name": "Ann"})
        self.ask("POST", "/sender-accounts/rotate-keys", 200, json={})
        request = {"operation": "create", "account": {**form, "smtp_password": wrong}}
        self.ask("POST", "/sender-requests", 201, json=request)
        self.ask("GET", "/sender-accounts", 200)
        self.ask("GET", "/sender-requests", 200)

    def _keys_and_relay(self) -> None:
        made = self.api.post("/api-keys", json={"name": "ci", "scopes": ["read"]}).json()
        self.told[made["key"]] = "ci"
        assert self.api.get("/campaigns", headers={"X-API-Key": made["key"]}).status_code == 200
        self.ask("GET", "/api-keys", 200)
        form, _ = self.mailbox("relay@fleet.test")
        form |= {"access_methods": ["smtp", "campaign"], "smtp_authentication": "user"}
        relay = self.api.post("/sender-accounts", json=form).json()["relay"]
        self.told[relay["password"]] = relay["login"]
        trusted = ssl.create_default_context(cafile=str(self.up.data / "tls" / "smtp.pem"))
        with smtplib.SMTP("localhost", self.up.smtp_port, timeout=20) as client:
            client.starttls(context=trusted)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(relay["login"], self.secret(relay["login"]))
        with smtplib.SMTP("localhost", self.up.smtp_port, timeout=20) as client:
            client.starttls(context=trusted)
            client.login(relay["login"], relay["password"])

    def _import(self) -> None:
        good, _ = self.mailbox("imported@fleet.test")
        bad = {**good, "email_address": "bad@fleet.test", "smtp_password": self.secret("bad")}
        file = self.up.data.parent / "senders.csv"
        lines = [",".join(good), *(",".join(map(str, row.values())) for row in (good, bad))]
        file.write_text("\n".join(lines))
        key = (self.up.data / "api-key").read_text().strip()
        env = {**os.environ, "POSTFLEET_URL": self.up.url, "POSTFLEET_API_KEY": key}
        argv = [_COMMAND, "senders", "import", str(file)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        self.answers += [done.stdout, done.stderr]
        assert "1 of 2 are registered" in done.stdout, done.stdout + done.stderr

    def _log_ins_of_dispatcher_and_watcher(self) -> None:
        """With the right password; and with one that the provider takes no more."""
        assert "accepted" in self._outcome("ann@fleet.test", {"accepted"})
        form, _ = self.mailbox("late@fleet.test")
        sender = self.ask("POST", "/sender-accounts", 201, json=form)
        self.mailbox("late@fleet.test")  # changed at the provider
        self._outcome("late@fleet.test", {"deferred", "failed"})
        shown = self.ask("POST", f"/sender-accounts/{sender['id']}/validate", 200)
        assert shown["validation"]["smtp"]["ok"] is False

    def _outcome(self, sender: str, wanted: set[str]) -> set[str]:
        """Send a mail, and wait until it is in one of these states."""
        mail = {"from": sender, "to": "accept+bob@people.test", "subject": "s", "text": "t"}
        ids: list[str] = []

        def taken() -> bool:
            answer = self.api.post("/messages", json=mail)
            ids.extend([answer.json()["id"]] if answer.status_code == 202 else [])
            return bool(ids)

        self.up.wait_until(taken, 60, f"{sender} known")
        states: set[str] = set()

        def settled() -> bool:
            shown = self.api.get(f"/messages/{ids[0]}")
            self.answers.append(shown.text)
            states.update(one["state"] for one in shown.json()["deliveries"])
            return bool(wanted & states)

        self.up.wait_until(settled, 60, f"{sender}: {wanted}")
        return states


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flows, Collector]]:
    data = tmp_path_factory.mktemp("secrets") / "data"
    with Collector() as collector:
        env = {**_SECONDS, "POSTFLEET_OTLP_ENDPOINT": collector.url}
        with Platform(data, sandbox=True, env=env) as up:
            up.wait_for("Postfleet is ready", 180)
            with up.api() as api:
                flows = Flows(up, api)
                flows.play()
                flows.answers.append(httpx.get(f"{up.url}/metrics", trust_env=False).text)
                for program in ("sender_registry", "dispatcher", "inbox_watcher"):
                    up.signal(program, signal.SIGABRT)
                log = up.data / "logs" / "sender-registry.log"
                up.wait_until(lambda: "Fatal Python error" in log.read_text(), 20, "the crash")
            up.stop()
            yield flows, collector


def _forms(secret: str, user: str) -> set[bytes]:
    """As it is, escaped for a URL, and as SASL PLAIN, LOGIN and XOAUTH2 encode it."""
    messages = (secret, f"\0{user}\0{secret}", f"user={user}\1auth=Bearer {secret}\1\1")
    encoded = {base64.b64encode(message.encode()).rstrip(b"=") for message in messages}
    return {secret.encode(), quote(secret).encode(), *encoded}


def _kept(data: Path) -> dict[Path, bytes]:
    """Every file of the platform; not those of the mail world, which plays the providers."""
    return {
        file: file.read_bytes()
        for file in data.rglob("*")
        if file.is_file() and "sandbox" not in file.relative_to(data).parts
    }


@pytest.mark.timeout(300)
@pytest.mark.seed("S23", "S24", "S25")
def test_no_file_answer_span_or_crash_holds_a_secret(played: tuple[Flows, Collector]) -> None:
    flows, collector = played
    files = _kept(flows.up.data)
    assert len(flows.told) >= 10
    known = flows.senders[0].encode()
    holding = {
        file.relative_to(flows.up.data).parts[0] for file, text in files.items() if known in text
    }
    assert {"nats", "mongo"} <= holding, "what is searched can be found"
    assert any("/sender-accounts" in span.text for span in collector.spans)
    said = {
        "answers": "\n".join(flows.answers).encode(),
        "spans": "\n".join(span.text for span in collector.spans).encode(),
        "output": flows.up.output.encode(),
        **{str(file): text for file, text in files.items()},
    }
    found = [
        (where, user)
        for secret, user in flows.told.items()
        for form in _forms(secret, user)
        for where, text in said.items()
        if form in text
    ]
    assert found == []
