"""Runs a server of an unpacked Debian package that may not be installed here.

It sees the whole machine under a file system of its own (a mount namespace, overlayfs on tmpfs) in
which the package's files, its users and its directories are where its paths want them. Nothing of it
is on the machine, and all of it is gone when the server ends.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ENTER = """\
set -eu
mount -t tmpfs none "$2"
mkdir "$2/up" "$2/work" "$2/root"
cp -a "$1/usr" "$2/up/"
[ ! -d "$1/etc" ] || cp -a "$1/etc" "$2/up/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$2/up,workdir=$2/work" "$2/root"
mount --rbind /dev "$2/root/dev"
mount -t proc proc "$2/root/proc"
mkdir -p "$2/root$3"
mount --bind "$3" "$2/root$3"
exec chroot "$2/root" /bin/sh -euc "$4"
"""


def argv(package: Path, folder: Path, prepare: str, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` after the shell text `prepare`, both inside.

    `folder` is shared with the outside; the file system is mounted on `folder`/root outside.
    """
    mount_point = folder.with_name(folder.name + ".root")
    mount_point.mkdir(exist_ok=True)
    script = f"{prepare}\nexec {shlex.join(command)}"
    inner = ["sh", "-c", _ENTER, "enter", str(package), str(mount_point), str(folder), script]
    return ["unshare", "--mount", "--propagation", "private", *inner]


@cache
def missing() -> str | None:
    """Why this cannot be done here, or None."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "a file system of its own needs root and unshare(1)"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no mount namespace: {tried.stderr.strip()}" if tried.returncode else None
