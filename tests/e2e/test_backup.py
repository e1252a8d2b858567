"""A backup made under load, restored into a new directory: all of it is there, nothing goes twice."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Platform

_POSTFLEET = Path(sys.executable).with_name("postfleet")


def _run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "MONGODB_URL")}
    return subprocess.run(
        [str(_POSTFLEET), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, **(env or {})},
    )


def _backup(up: Platform, folder: Path, *more: str) -> dict[str, Any]:
    where = ("--data", str(up.data), "--mongo-port", str(up.mongo_port))
    done = _run("backup", str(folder), *where, "--json", *more)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _accepted(up: Platform) -> Counter[tuple[str, str]]:
    """By the mail world's own ledger: (recipient, Message-ID) -> how often it was accepted."""
    ledger = [r for r in up.sandbox("/ledger") if r["kind"] == "accepted"]
    return Counter((r["recipient"], r.get("message_id", "")) for r in ledger)


def _mail_world(old: Platform, new: Platform) -> None:
    """The recipients and providers are not ours: they remember, whatever becomes of us."""
    shutil.copytree(old.data / "sandbox", new.data / "sandbox")


def _rows(up: Platform, path: str) -> list[dict[str, Any]]:
    found, cursor = [], None
    with up.api() as api:
        while True:
            page = api.get(path, params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
            found += page.json()["items"]
            cursor = page.json().get("next_cursor")
            if cursor is None:
                return found


@pytest.mark.timeout(300)
def test_a_backup_under_load_restores_all_of_it_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    with Platform(tmp_path / "old", demo=True) as old:
        old.wait_for("campaign started", 90)
        old.wait_until(lambda: old.sandbox("/summary")["accepted"] >= 30, 60, "30 mails")
        told = _backup(old, tmp_path / "backup")
        manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
        assert manifest["live"], "it was made while the platform sent"
        assert not (tmp_path / "backup" / "master-key").exists(), "not unless asked"
        old.wait_until(lambda: old.sandbox("/summary")["accepted"] >= 100, 90, "100 mails")
        old.kill_all()  # the machine burns down; more mails have left than the backup knows of
    assert told["documents"] == sum(manifest["collections"].values()) > 200
    new = Platform(tmp_path / "new", sandbox=True)
    where = ("restore", str(tmp_path / "backup"), "--data", str(new.data))

    keyless = _run(*where)
    assert keyless.returncode == 78, "without the MASTER_KEY no password would open"
    assert "MASTER_KEY" in keyless.stderr
    assert not (new.data / "mongo").exists()
    key = {"MASTER_KEY": (tmp_path / "old" / "master-key").read_text().strip()}
    done = _run(*where, env=key)
    assert done.returncode == 0, done.stderr
    again = _run(*where, env=key)
    assert again.returncode == 1, "a target that is not empty is refused"
    assert "has data already" in again.stderr

    _mail_world(old, new)
    with new as up:
        up.wait_for("Postfleet is ready", 60)
        before = _accepted(up)
        (campaign,) = _rows(up, "/campaigns")
        assert campaign["status"] == "paused", "somebody looks first"
        leads = _rows(up, f"/campaigns/{campaign['id']}/leads")
        assert len(leads) == manifest["collections"]["dispatcher/leads"]
        senders = _rows(up, "/sender-accounts")
        assert len(senders) == 2
        assert all(sender["status"] == "ready" for sender in senders)
        with up.api() as api:
            for sender in senders:  # the sealed passwords open: it can log in
                answer = api.post(f"/sender-accounts/{sender['id']}/test")
                assert answer.status_code in (200, 404), answer.text
        log = (up.data / "logs" / "dispatcher.log").read_text()
        assert "restored from the backup of" in log, "what may have left is held"
        mail = {"from": senders[0]["id"], "to": ["after@people.test"], "subject": "s", "text": "t"}
        with up.api() as api:
            assert api.post("/messages", json=mail).status_code == 202
        up.wait_until(lambda: _accepted(up) != before, 60, "it does send, what is new")
        more = _accepted(up) - before
        assert [recipient for recipient, _ in more] == ["after@people.test"], "and nothing else"
        assert max(before.values()) == 1


@pytest.mark.timeout(300)
def test_a_stopped_platform_moves_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with Platform(tmp_path / "old", demo=True) as old:
        old.wait_for("campaign started", 90)
        old.wait_until(lambda: old.sandbox("/summary")["accepted"] >= 30, 60, "30 mails")
        assert old.stop() == 0
    _backup(old, tmp_path / "backup", "--with-keys")
    new = Platform(tmp_path / "new", sandbox=True, demo=True)
    done = _run("restore", str(tmp_path / "backup"), "--data", str(new.data), "--as-it-was")
    assert done.returncode == 0, done.stderr
    assert (new.data / "master-key").stat().st_mode & 0o777 == 0o600
    _mail_world(old, new)
    with new as up:
        up.wait_for("│ unsubscribed │", 180)
        assert max(_accepted(up).values()) == 1
        summary = up.summary()
        assert all(ours == theirs for ours, theirs in summary.values()), up.output
        assert summary["sent"][0] > 30


def test_a_directory_that_is_no_whole_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    refused = _run("restore", str(tmp_path / "half"), "--data", str(tmp_path / "new"))
    assert refused.returncode == 78
    assert "no manifest.json" in refused.stderr
    manifest = {"format": 1, "created_at": "", "version": "", "live": False}
    manifest |= {"master_key_ids": [], "sha256": {"databases/x.bson.gz": "00"}}
    (tmp_path / "half" / "manifest.json").write_text(json.dumps(manifest))
    damaged = _run("restore", str(tmp_path / "half"), "--data", str(tmp_path / "new"))
    assert damaged.returncode == 78
    assert "damaged or missing" in damaged.stderr
    newer = {**manifest, "format": 2}
    (tmp_path / "half" / "manifest.json").write_text(json.dumps(newer))
    assert "Restore it with the version" in _run("restore", str(tmp_path / "half")).stderr


def test_nothing_to_back_up_and_nowhere_to_put_it_are_said_in_one_line(tmp_path: Path) -> None:
    nothing = _run("backup", str(tmp_path / "b"), "--data", str(tmp_path / "none"))
    assert nothing.returncode == 78
    assert "has no data" in nothing.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    full = _run("backup", str(tmp_path / "full"))
    assert full.returncode == 73
    assert "not empty" in full.stderr
