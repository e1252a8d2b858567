"""The sandbox as a process: its files, its signals, what a kill leaves, and the control API."""

import imaplib
import json
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

SENDER, PASSWORD = "ann@fleet.test", "correct horse"


class Process:
    """One run of `python -m postfleet_sandbox`."""

    def __init__(self, data: Path, *options: str) -> None:
        (data / "sandbox.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "postfleet_sandbox", "--data", str(data), *options]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout is not None
        self.line = self.popen.stdout.readline()
        self.endpoints = json.loads((data / "sandbox.json").read_text())
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.endpoints['control_port']}")

    def send(self, to: str, message_id: str) -> None:
        context = ssl.create_default_context(cafile=self.endpoints["ca_file"])
        with smtplib.SMTP("localhost", self.endpoints["smtp_port"]) as client:
            client.starttls(context=context)
            client.login(SENDER, PASSWORD)
            client.sendmail(
                SENDER, [to], f"From: {SENDER}\r\nMessage-ID: {message_id}\r\n\r\nHi\r\n"
            )

    def summary(self) -> dict[str, int]:
        counts: dict[str, int] = self.api.get("/summary").json()
        return counts

    def settled(self) -> dict[str, int]:
        deadline = time.monotonic() + 10
        while self.summary()["pending_actions"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.summary()

    def stop(self, sign: int = signal.SIGTERM) -> tuple[int, float]:
        started = time.monotonic()
        self.popen.send_signal(sign)
        return self.popen.wait(10), time.monotonic() - started


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*options: str) -> Process:
        started.append(Process(tmp_path, *options))
        return started[-1]

    yield start
    for process in started:
        process.popen.kill()
        process.popen.wait()
        process.api.close()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_quickly(run: Callable[..., Process], sign: int) -> None:
    process = run()
    assert {"smtp_port", "smtps_port", "imap_port", "control_port", "ca_file", "pid"} == set(
        process.endpoints
    )
    assert process.endpoints["pid"] == process.popen.pid
    assert str(process.endpoints["smtp_port"]) in process.line
    assert process.api.get("/healthz").json() == {"status": "ok"}
    process.api.post("/accounts", json={"address": SENDER, "password": PASSWORD})
    with smtplib.SMTP("localhost", process.endpoints["smtp_port"]), idle_connection(process):
        code, seconds = process.stop(sign)
    assert (code, seconds < 10) == (0, True), "nobody waits for the idle connection"


def idle_connection(process: Process) -> imaplib.IMAP4_SSL:
    context = ssl.create_default_context(cafile=process.endpoints["ca_file"])
    client = imaplib.IMAP4_SSL("localhost", process.endpoints["imap_port"], ssl_context=context)
    client.login(SENDER, PASSWORD)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")
    return client


def test_a_port_in_use_is_one_clear_line(run: Callable[..., Process], tmp_path: Path) -> None:
    port = run().endpoints["smtp_port"]
    command = [sys.executable, "-m", "postfleet_sandbox", "--data", str(tmp_path / "other")]
    second = subprocess.run(
        [*command, "--smtp-port", str(port)], capture_output=True, text=True, timeout=20
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"postfleet-sandbox: port {port} on 127.0.0.1 is in use: "
        "stop what listens there or choose another\n"
    )


def test_a_kill_forgets_nothing_and_pending_acts_are_resumed(
    run: Callable[..., Process], tmp_path: Path
) -> None:
    first = run("--human-delay", "1.0-1.2")
    first.api.post("/accounts", json={"address": SENDER, "password": PASSWORD})
    first.api.put("/scripts/jo@people.test", json={"behaviour": "reply"})
    first.api.put("/scripts/grey@people.test", json={"behaviour": "greylist", "times": 2})
    first.send("jo@people.test", "<1@x>")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        first.send("grey@people.test", "<2@x>")
    before = first.summary()
    assert (before["accepted"], before["deferred"], before["pending_actions"]) == (1, 1, 2)
    first.stop(signal.SIGKILL)
    with (tmp_path / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"seq": 99, "at": ')  # as a kill in the middle of a write leaves it
    ca_before = (tmp_path / "ca.pem").read_bytes()

    second = run("--human-delay", "1.0-1.2")
    assert second.api.get("/scripts/jo@people.test").json()["acts"] == ["human_open", "reply"]
    after = second.settled()
    assert (after["accepted"], after["replied"], after["deferred"]) == (1, 1, 1)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        second.send("grey@people.test", "<2@x>")
    second.send("grey@people.test", "<2@x>")
    second.send("jo@people.test", "<3@x>")
    assert second.settled()["replied"] == 1
    assert (tmp_path / "ca.pem").read_bytes() == ca_before
    seqs = [json.loads(line)["seq"] for line in second.api.get("/ledger").text.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_the_control_api(run: Callable[..., Process]) -> None:
    process = run()
    api = process.api
    account = api.post("/accounts", json={"address": "Ann@Fleet.test", "password": PASSWORD})
    assert account.status_code == 201
    assert account.json()["address"] == SENDER
    assert account.json()["smtp_port"] == process.endpoints["smtp_port"]
    script = {"rcpt_reply": "450 4.2.1 Later", "times": 1}
    assert api.put("/scripts/jo@x.test", json=script).json()["rcpt_reply"] == "450 4.2.1 Later"
    assert api.get("/scripts/jo@x.test").json()["times"] == 1
    process.send("accept@people.test", "<1@x>")
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in api.get("/ledger").text.splitlines()
    ]
    assert [(line["seq"], line["kind"]) for line in lines] == [(1, "scripted"), (2, "accepted")]
    assert set(lines[1]) == {"seq", "at", "kind", "recipient", "sender", "message_id", "detail"}
    assert len(api.get("/ledger", params={"after": 1}).text.splitlines()) == 1
    assert api.get("/mails/2").content.endswith(b"Message-ID: <1@x>\r\n\r\nHi\r\n")
    assert api.get("/mails/1").status_code == 404
    assert api.post("/outage", json={"seconds": 0.5}).status_code == 202
    assert api.post("/outage", json={"seconds": 0.5}).status_code == 409
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        process.send("accept@people.test", "<2@x>")
    time.sleep(0.7)
    process.send("accept@people.test", "<2@x>")
    assert process.summary()["accepted"] == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        pytest.param("POST", "/accounts", {"address": "a@b.c"}, "password", id="no password"),
        pytest.param("POST", "/accounts", [], "JSON object", id="no object"),
        pytest.param("PUT", "/scripts/a@b.c", {"behaviour": "x"}, "unknown behaviour", id="name"),
        pytest.param("POST", "/outage", {"seconds": "long"}, "seconds", id="no number"),
    ],
)
def test_wrong_input_is_refused(
    shared_process: Process, method: str, path: str, body: object, said: str
) -> None:
    answer = shared_process.api.request(method, path, json=body)
    assert answer.status_code == 422
    assert said in answer.text


@pytest.fixture(scope="module")
def shared_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("shared"))
    yield process
    process.stop()
    process.api.close()
