"""Postfix's master and the services it starts for an instance that only passes mail on."""

import os
import shutil
from collections.abc import Sequence

from tests.support.mailconfig import Places

DAEMONS = "/usr/lib/postfix/sbin:/usr/libexec/postfix:/usr/lib/postfix"
_LONG_AGO = 1_000_000_000  # Postfix waits a second before it trusts a file written just now
QUEUE_MANAGER = "qmgr unix n - n 300 1 qmgr"
_SERVICES = """\
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
retry unix - - n - - error
error unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def listener(port: int) -> str:
    return f"127.0.0.1:{port} inet n - n - - smtpd"


def write_master_cf(places: Places, services: Sequence[str]) -> None:
    """These services and those that every instance needs; main.cf must stand already."""
    (places.postfix / "master.cf").write_text("\n".join([*services, _SERVICES]))
    for name in ("main.cf", "master.cf"):
        os.utime(places.postfix / name, (_LONG_AGO, _LONG_AGO))


def master_command(places: Places) -> list[str]:
    """Master itself: the `postfix` command would spend a second on checks of a system's files."""
    master = shutil.which("master", path=DAEMONS) or "master"
    return [master, "-c", str(places.postfix), "-d"]
