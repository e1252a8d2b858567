"""`postfleet senders add` at a terminal: it asks, finds the servers, and shows no password."""

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_SECRET = "canary of the terminal"
_COMMAND = str(Path(sys.executable).with_name("postfleet"))
_FOUND = {
    "found_by": "mx",
    "inbox_type": "GOOGLE_WORKSPACE",
    "smtp_host": "smtp.gmail.com",
    "smtp_port": 587,
    "imap_host": "imap.gmail.com",
    "imap_port": 993,
    "preset": {"guide": ["Open your account."], "note": None, "hint": "use an app password"},
}


class _Answers(BaseHTTPRequestHandler):
    """Plays the platform's API."""

    asked: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        known = body["email_address"] == "ann@works.test"
        found = _FOUND if known else {"found_by": "nobody", "smtp_host": None}
        sender = {"id": "s1", "email_address": body["email_address"], "status": "ready"}
        answer = found if self.path.endswith("/discover") else sender
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def platform() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    asked: list[tuple[str, dict[str, Any]]] = []
    handler = type("Handler", (_Answers,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


class _Terminal:
    """The command, with a terminal of its own that echoes what is typed, as terminals do."""

    def __init__(self, url: str, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        env = {**os.environ, "POSTFLEET_URL": url, "POSTFLEET_API_KEY": "a-key-for-this-test"}
        self._process = subprocess.Popen(
            [_COMMAND, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "dumb", "COLUMNS": "120"},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def type(self, line: str, after: str, seconds: float = 60) -> None:
        """Wait for the prompt, then type a line."""
        deadline = time.monotonic() + seconds
        while after not in self.shown:
            assert time.monotonic() < deadline, f"no {after!r} in {self.shown!r}"
            self._read(0.2)
        os.write(self._ours, line.encode() + b"\n")

    def end(self, seconds: float = 60) -> int:
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._read(0.1)
        while self._read(0.1):
            pass
        return self._process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            octets = os.read(self._ours, 65536)
            self.shown += octets.decode("utf-8", "replace")
            return bool(octets)
        return False

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)


@pytest.mark.seed("S12", "S18")
@pytest.mark.timeout(150)
def test_it_asks_for_address_and_password_and_hides_the_password(
    platform: tuple[str, list[tuple[str, dict[str, Any]]]],
) -> None:
    url, asked = platform
    terminal = _Terminal(url, "senders", "add")
    try:
        terminal.type("ann@works.test", after="E-mail address")
        terminal.type(_SECRET, after="Password: ")  # the space comes when echo is off
        assert terminal.end() == 0, terminal.shown
    finally:
        terminal.close()
    assert "found by mx: smtp.gmail.com:587, imap.gmail.com:993" in terminal.shown
    assert "use an app password" in terminal.shown
    assert "ann@works.test" in terminal.shown, "what is typed is echoed"
    assert _SECRET not in terminal.shown, "but for the password"
    (_, discover), (_, account) = asked
    assert discover == {"email_address": "ann@works.test"}
    assert (account["smtp_password"], account["imap_password"]) == (_SECRET, _SECRET)


@pytest.mark.timeout(150)
def test_an_address_that_nobody_knows_is_told_with_the_remedy(
    platform: tuple[str, list[tuple[str, dict[str, Any]]]],
) -> None:
    url, asked = platform
    terminal = _Terminal(url, "senders", "add")
    try:
        terminal.type("ann@nowhere.test", after="E-mail address")
        assert terminal.end() != 0
    finally:
        terminal.close()
    assert "nobody tells where ann@nowhere.test has its servers" in terminal.shown
    assert "--smtp-host" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert len(asked) == 1, "no password is asked for in vain"
