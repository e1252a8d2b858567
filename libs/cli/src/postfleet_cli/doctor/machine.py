"""This machine: the data directory, its disk, the keys, the ports, the clock, names."""

import os
import shutil
import socket
import struct
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from postfleet.secrets import BadMasterKey, KeyRing
from postfleet_cli import ports
from postfleet_cli.datadir import DataDir
from postfleet_cli.doctor.findings import Finding, ok, skipped, trouble, warning

_LITTLE_BYTES, _NOTHING_BYTES = 5 * 1024**3, 512 * 1024**2
_SKEW_WARNING_S, _SKEW_TROUBLE_S = 2.0, 30.0
_NTP_SERVER = "pool.ntp.org"
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970 (RFC 5905)
_NAME_TO_ASK = "gmail-smtp-in.l.google.com"  # who sends mail has to find it


def data_directory(
    data: DataDir, usage: Callable[[Path], tuple[int, int]] | None = None
) -> list[Finding]:
    """Whether it can be written, and how much room it has. `usage` gives total and free bytes."""
    if not data.path.exists():
        return [
            skipped("data directory", f"{data.path} does not exist yet: `postfleet up` makes it")
        ]
    if not os.access(data.path, os.W_OK | os.X_OK):
        return [
            trouble(
                "data directory",
                f"{data.path} cannot be written by user {os.getuid()}",
                "chown it to the user that runs `postfleet up`, or choose another with --data DIR",
            )
        ]
    total, free = (usage or _usage)(data.path)
    told = f"{free / 1024**3:.1f} of {total / 1024**3:.0f} GiB are free at {data.path}"
    remedy = "free some room: with none, JetStream freezes its streams and nothing more is accepted"
    if free < _NOTHING_BYTES:
        return [trouble("disk", told, remedy)]
    if free < _LITTLE_BYTES:
        return [warning("disk", told, remedy)]
    return [ok("disk", told)]


def _usage(path: Path) -> tuple[int, int]:
    found = shutil.disk_usage(path)
    return found.total, found.free


def keys(data: DataDir, environ: Mapping[str, str]) -> list[Finding]:
    """MASTER_KEY and the API key: there, well-formed, readable by their owner alone."""
    return [*_master_key(data, environ), *_kept_secretly(data)]


def _master_key(data: DataDir, environ: Mapping[str, str]) -> list[Finding]:
    where = "MASTER_KEY" if "MASTER_KEY" in environ else str(data.master_key)
    try:
        value = environ.get("MASTER_KEY") or data.master_key.read_text().strip()
        count = len(value.split(","))
        KeyRing.parse(value)
    except FileNotFoundError:
        if data.has_data:
            remedy = "put the file back from your backup of keys, or set MASTER_KEY"
            return [trouble("master key", f"{where} is missing, but there is data", remedy)]
        return [skipped("master key", "none here: MASTER_KEY is not set, and there is no data yet")]
    except (BadMasterKey, OSError, UnicodeDecodeError) as error:
        remedy = "32 bytes in base64 (openssl rand -base64 32); several with commas, newest first"
        return [trouble("master key", f"{where}: {error}", remedy)]
    if count > 1:
        remedy = "run `postfleet keys rotate`, then take the old ones away"
        return [warning("master key", f"{count} keys in {where}: a rotation is under way", remedy)]
    return [ok("master key", f"well-formed, from {where}")]


def _kept_secretly(data: DataDir) -> list[Finding]:
    open_ = [
        file
        for file in (data.master_key, data.api_key)
        if file.exists() and file.stat().st_mode & 0o077
    ]
    return [
        trouble("key files", f"{file} can be read by others", f"chmod 600 {file}") for file in open_
    ]


def port(check: str, host: str, number: int, option: str, *, running: bool) -> Finding:
    """Somebody answers there if the platform runs; nobody does if it does not."""
    if running:
        try:
            socket.create_connection((host, number), timeout=3).close()
        except OSError as error:
            remedy = f"look into the logs; {option} says where it should be"
            return trouble(check, f"{host}:{number} does not answer: {error}", remedy)
        return ok(check, f"{host}:{number} answers")
    if ports.is_free(number):
        return ok(check, f"port {number} is free")
    remedy = f"stop what uses it, or choose another with {option} PORT"
    return trouble(check, f"port {number} is in use, and not by this platform", remedy)


def clock(offsets: Mapping[str, float]) -> Finding:
    """How far our clock is from others'. Offsets in seconds, by whose clock it is."""
    if not offsets:
        return skipped("clock", "nobody to compare with: no NTP answer, no database")
    whose, offset = max(offsets.items(), key=lambda one: abs(one[1]))
    told = f"{abs(offset):.1f} s {'behind' if offset > 0 else 'ahead of'} {whose}"
    remedy = (
        "run an NTP client (systemd-timesyncd, chrony): windows, tokens and leases need the time"
    )
    if abs(offset) >= _SKEW_TROUBLE_S:
        return trouble("clock", told, remedy)
    if abs(offset) >= _SKEW_WARNING_S:
        return warning("clock", told, remedy)
    return ok("clock", f"{told}, of {len(offsets)} asked")


def ntp_offset(server: str = _NTP_SERVER, timeout: float = 1.5) -> float | None:
    """Seconds by which an NTP server's clock is ahead of ours (SNTP, RFC 4330); None if it is silent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(timeout)
            sent = time.time()
            udp.sendto(b"\x1b" + 47 * b"\0", (server, 123))
            answer, _ = udp.recvfrom(48)
            arrived = time.time()
        seconds, fraction = struct.unpack("!II", answer[40:48])
    except (OSError, struct.error):
        return None
    return float(seconds - _NTP_EPOCH + fraction / 2**32 - (sent + arrived) / 2)


def date_offset(header: str | None, now: datetime) -> float | None:
    """Seconds by which the clock behind an HTTP Date header (whole seconds) is ahead of `now`."""
    if not header:
        return None
    try:
        ahead = (parsedate_to_datetime(header) - now).total_seconds()
    except ValueError:
        return None
    return 0.0 if -1.0 < ahead <= 0 else ahead


def names(resolve: Callable[[str], object] | None = None) -> Finding:
    """Whether this machine can find a mail server by its name."""
    try:
        (resolve or (lambda name: socket.getaddrinfo(name, 25)))(_NAME_TO_ASK)
    except OSError as error:
        remedy = (
            "check /etc/resolv.conf and port 53 outwards: without names no mail server is found"
        )
        return warning("DNS", f"{_NAME_TO_ASK} is not found: {error}", remedy)
    return ok("DNS", f"{_NAME_TO_ASK} is found")
