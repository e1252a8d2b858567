"""docker-mailserver's configuration volume: files replaced as a whole, one writer at a time."""

import asyncio
import contextlib
import fcntl
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_OWN_LOCK = ".postfleet.lock"
_STALE_SECONDS = 60  # docker-mailserver itself ignores a lock that is older
_POLL_SECONDS = 0.02
_FOREIGN_POLL_SECONDS = 0.2
_NEW_FILE_MODE = 0o600  # password hashes; docker-mailserver reads as root
_PAST_SECONDS = 30
_MAX_RACES = 5


class VolumeBusy(Exception):
    """Somebody else kept changing the file; trying again later is right."""


class ConfigVolume:
    """The directory. Files are text in UTF-8; other bytes survive unchanged."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Alone among provisioners, and not while docker-mailserver handles a change.

        An advisory lock of the kernel: it ends with its holder. OSError if the directory cannot be
        used.
        """
        descriptor = await asyncio.to_thread(self._open_lock)
        try:
            while not _acquire(descriptor):  # noqa: ASYNC110 (the holder may be another process)
                await asyncio.sleep(_POLL_SECONDS)
            while self._is_busy():  # noqa: ASYNC110 (a file of docker-mailserver's)
                await asyncio.sleep(_FOREIGN_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)  # gives the lock back

    async def read(self, name: str) -> str:
        """The text of a file; "" if there is none."""
        return await asyncio.to_thread(lambda: _read(self._directory / name)[0])

    async def edit(
        self, name: str, change: Callable[[str], str], *, dated_back: bool = False
    ) -> None:
        """Replace a file by `change` of its text; if nothing changes, nothing is written.

        All or nothing: after an error, or a crash at any moment, the old file is there whole. For
        use inside `locked`. Raises OSError, VolumeBusy, and what `change` raises. `dated_back`: each
        new process of Postfix would wait until a table is two seconds old.
        """
        await asyncio.to_thread(self._edit, name, change, dated_back)

    async def let_owner_of_directory_read(self, name: str) -> None:
        """Give a file to the owner of its directory: rspamd reads its keys as a user of its own."""
        await asyncio.to_thread(self._give, self._directory / name)

    def _give(self, path: Path) -> None:
        owner = path.parent.stat()
        path.chmod(0o640)
        with contextlib.suppress(PermissionError):  # not root: then docker-mailserver has to
            os.chown(path, owner.st_uid, owner.st_gid)

    def _edit(self, name: str, change: Callable[[str], str], dated_back: bool) -> None:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_MAX_RACES):
            old, seen = _read(path)
            new = change(old)
            if new == old or _replace(path, new, seen, dated_back):
                return
        raise VolumeBusy(f"{name} changed again and again while it was edited")

    def _open_lock(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        return os.open(self._directory / _OWN_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_busy(self) -> bool:
        """Whether one of docker-mailserver's scripts holds a lock (`<script>.lock`)."""
        now = time.time()
        for lock in self._directory.glob("*.lock"):
            with contextlib.suppress(FileNotFoundError):
                if lock.name != _OWN_LOCK and now - lock.stat().st_mtime < _STALE_SECONDS:
                    return True
        return False


_Seen = tuple[int, int, int] | None  # inode, size, time of the last change


def _acquire(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _look(path: Path) -> _Seen:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> tuple[str, _Seen]:
    seen = _look(path)
    if seen is None:
        return "", None
    return path.read_bytes().decode("utf-8", "surrogateescape"), seen


def _replace(path: Path, text: str, seen: _Seen, dated_back: bool) -> bool:
    """Put a new file in the place of the one that was seen; False if that has changed since."""
    # One name, so that a killed process leaves no litter behind: the lock keeps it to one writer.
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as new:
            _copy_owner_and_mode(path, descriptor)
            new.write(text.encode("utf-8", "surrogateescape"))
            new.flush()
            if dated_back:
                past = time.time() - _PAST_SECONDS
                os.utime(new.fileno(), (past, past))
            os.fsync(new.fileno())
        if _look(path) != seen:
            temporary.unlink()
            return False
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)
    return True


def _copy_owner_and_mode(path: Path, descriptor: int) -> None:
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_FILE_MODE)
        return
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):  # not root: docker-mailserver is, and reads all
            os.fchown(descriptor, old.st_uid, old.st_gid)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
