"""The README's way from nothing to the first campaign, run word by word by a shell."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.platform import Platform

README = (Path(__file__).parents[2] / "README.md").read_text()


def _blocks() -> list[str]:
    section = README.split("## From nothing to the first campaign")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def _values(up: Platform, password: str) -> str:
    """The first block with our values: an address, a mail server, and a platform that runs already."""
    at = up.endpoints()
    return "\n".join(
        [
            f"export POSTFLEET_URL={up.url} NATS_URL={up.nats_url}",
            f"export ME=me@own.test SECRET='{password}' FRIEND=friend@people.test",
            f"export SMTP_HOST=localhost SMTP_PORT={at['smtp_port']}",
            f"export IMAP_HOST=localhost IMAP_PORT={at['imap_port']}",
        ]
    )


@pytest.mark.timeout(240)
@pytest.mark.seed("S163")
def test_the_way_to_the_first_campaign_works_as_it_is_written(tmp_path: Path) -> None:
    first, *others = _blocks()
    assert "postfleet up" in first
    assert len(others) == 3
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(Path(sys.executable).parent)
    password = f"it's {secrets.token_hex(4)}".replace("'", "")
    with Platform(tmp_path / ".postfleet", sandbox=True) as up:
        up.wait_for("Postfleet is ready", 90)
        control = f"http://127.0.0.1:{up.endpoints()['control_port']}/accounts"
        account = {"address": "me@own.test", "password": password, "saves_sent": True}
        assert httpx.post(control, json=account, trust_env=False).status_code == 201
        ports = (
            f" --nats-port {up.nats_port} --mongo-port {up.mongo_port} --smtp-port {up.smtp_port}"
        )
        script = "\n".join([_values(up, password), *others])
        script = script.replace("postfleet doctor", f"postfleet doctor{ports}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if not k.startswith(("POSTFLEET", "MONGODB"))},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{up.output}"
        assert "not-an-address" in done.stdout + done.stderr, "the row that was left out is told"
        assert "Hello Ada" in done.stdout, "the preview"
        accepted = [r for r in up.sandbox("/ledger") if r["kind"] == "accepted"]
        assert [r["recipient"] for r in accepted] == ["friend@people.test"]
        assert password not in done.stdout + done.stderr


def test_the_first_block_exports_all_that_the_others_use() -> None:
    first, *others = _blocks()
    exported = set(re.findall(r"(\w+)=", first)) | {"POSTFLEET_API_KEY", "CAMPAIGN"}
    used = set(re.findall(r"\$([A-Z_]+)", "\n".join(others)))
    assert used <= exported


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", README))))
def test_a_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (Path(__file__).parents[2] / link).exists()
