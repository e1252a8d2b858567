"""The data directory of `postfleet up`: one owner at a time, and the two keys that are kept in it."""

import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from postfleet.secrets import BadMasterKey, KeyRing
from postfleet.settings import checked_mongodb_url, checked_nats_url, checked_web_url
from postfleet_cli.exits import ExitCode, Refused

_API_KEY_LENGTH = 16  # what services ask for at least
_ADDRESSES = {
    "POSTFLEET_PUBLIC_URL": checked_web_url,
    "NATS_URL": checked_nats_url,
    "MONGODB_URL": checked_mongodb_url,
}


@dataclass(frozen=True, slots=True)
class Keys:
    """`api_key_from` says where a person finds the API key again."""

    master_key: str
    api_key: str
    api_key_from: str


class DataDir:
    """Paths below one directory. `open` makes it and locks it until `close` or the process's end."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.nats = self.path / "nats"
        self.mongo = self.path / "mongo"  # of the embedded server
        self.mongod = self.path / "mongod"  # of a real one: their files are not interchangeable
        self.sandbox = self.path / "sandbox"
        self.spool = self.path / "spool"
        self.master_key = self.path / "master-key"
        self.api_key = self.path / "api-key"
        self._lock: int | None = None

    def open(self) -> None:
        """Raises Refused: not writable, or another `postfleet up` has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.logs, self.spool):
                folder.mkdir(exist_ok=True, mode=0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Refused(
                ExitCode.CANNOT_CREATE,
                f"cannot write to {self.path}: {error.strerror}. Choose another one with --data DIR",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).decode() or "unknown"
            os.close(lock)
            raise Refused(
                ExitCode.UNAVAILABLE,
                f"`postfleet up` is running on {self.path} already (process {owner}). "
                "Stop that one, or choose another directory with --data DIR",
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def has_data(self) -> bool:
        """Whether a database was ever made here."""
        return self.mongo.exists() or self.mongod.exists()

    def keys(self, environ: Mapping[str, str]) -> Keys:
        """The environment's keys, else the kept ones, else new ones, kept from now on.

        Raises Refused for a malformed key, and for a missing one that existing data needs.
        """
        master_key = self._master_key(environ)
        api_key, where = self._api_key(environ)
        return Keys(master_key, api_key, where)

    def _master_key(self, environ: Mapping[str, str]) -> str:
        if "MASTER_KEY" in environ:
            return _checked(environ["MASTER_KEY"], "MASTER_KEY")
        if self.master_key.exists():
            return _checked(_read(self.master_key), str(self.master_key))
        if self.has_data:
            raise Refused(
                ExitCode.CONFIG,
                f"MASTER_KEY is not set and {self.master_key} is missing, but the credentials in "
                f"{self.path} are encrypted with it. Put the file back, or set MASTER_KEY",
            )
        return self._keep(self.master_key, KeyRing.generate())

    def _api_key(self, environ: Mapping[str, str]) -> tuple[str, str]:
        if "POSTFLEET_API_KEY" in environ:
            key, where = environ["POSTFLEET_API_KEY"], "POSTFLEET_API_KEY"
        elif self.api_key.exists():
            key, where = _read(self.api_key), str(self.api_key)
        else:
            return self._keep(self.api_key, f"pf_{secrets.token_urlsafe(32)}"), str(self.api_key)
        if len(key) < _API_KEY_LENGTH or not key.isascii() or not key.isprintable():
            raise Refused(
                ExitCode.CONFIG,
                f"{where}: an API key has at least {_API_KEY_LENGTH} printable ASCII characters; "
                "make one with: openssl rand -hex 24",
            )
        return key, where

    def _keep(self, path: Path, value: str) -> str:
        """Write a key that is there whole or not at all, readable by its owner only."""
        unfinished = path.with_suffix(".new")
        try:
            unfinished.unlink(missing_ok=True)
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(value + "\n")
                file.flush()
                os.fsync(handle)
            unfinished.replace(path)
        except OSError as error:
            raise Refused(
                ExitCode.CANNOT_CREATE, f"cannot write {path}: {error.strerror}"
            ) from error
        return value


def check_addresses(environ: Mapping[str, str]) -> None:
    """Refused here: the services would refuse them too, and be started again and again."""
    wrong = []
    for name, check in _ADDRESSES.items():
        try:
            if value := environ.get(name):
                check(value)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise Refused(ExitCode.CONFIG, *wrong)


def _read(path: Path) -> str:
    try:
        path.chmod(0o600)
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(ExitCode.CONFIG, f"cannot read {path}: {error}") from error


def _checked(value: str, where: str) -> str:
    try:
        KeyRing.parse(value)
    except BadMasterKey as error:
        raise Refused(ExitCode.CONFIG, f"{where}: {error}") from None
    return value
