"""`postfleet doctor` on a platform that runs: all is well; then something is taken away."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nats
import pytest
from pymongo import MongoClient

from postfleet.mongo import database_name
from postfleet_cli.doctor.indexes import INDEXES
from tests.support.platform import Platform

_POSTFLEET = Path(sys.executable).with_name("postfleet")


def _doctor(up: Platform) -> tuple[int, dict[str, dict[str, str]]]:
    ports = (
        "--nats-port",
        up.nats_port,
        "--mongo-port",
        up.mongo_port,
        "--smtp-port",
        up.smtp_port,
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "MONGODB_URL")}
    done = subprocess.run(
        [str(_POSTFLEET), "doctor", "--json", "--data", str(up.data), *map(str, ports)],
        env={**clean, "POSTFLEET_URL": up.url},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["findings"]}


async def _delete_durable(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().delete_consumer("EVENTS", "tracker-history")
    await client.close()


def _indexes(up: Platform) -> dict[str, dict[str, tuple[str, ...]]]:
    with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{up.mongo_port}/") as client:
        return {
            service: {
                name: keys
                for name in sorted(client[database_name(service)].list_collection_names())
                if (keys := _keys(client[database_name(service)][name]))
            }
            for service in INDEXES
        }


def _keys(collection: Any) -> tuple[str, ...]:
    found = {",".join(index["key"]) for index in collection.list_indexes()} - {"_id"}
    return tuple(sorted(found))


@pytest.mark.timeout(240)
def test_doctor_finds_no_trouble_on_a_new_platform_and_then_what_was_broken(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", sandbox=True) as up:
        up.wait_for("Postfleet is ready", 120)
        there = _indexes(up)
        for service, collections in INDEXES.items():
            for name, fields in collections.items():
                found = there[service].get(name, fields)
                assert set(fields) <= set(found), f"no index any more: {service}/{name}"
        code, findings = _doctor(up)
        trouble = [one for one in findings.values() if one["state"] == "trouble"]
        assert (code, trouble) == (0, [])
        expected = {
            "NATS",
            "MongoDB",
            "stream EVENTS",
            "durable tracker-events",
            "API key",
            "clock",
        }
        assert expected <= set(findings)
        assert {"dispatcher", "disk", "master key", "port of SMTP"} <= set(findings)
        asyncio.run(_delete_durable(up.nats_url))
        (up.data / "api-key").chmod(0o644)
        code, findings = _doctor(up)
        assert code == 1
        assert findings["durable tracker-history"]["remedy"] == "run `postfleet bus apply`"
        assert "chmod 600" in findings["key files"]["remedy"]
