"""The data directory: one owner, two keys, one clear line for everything that is wrong."""

import os
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from postfleet.secrets import KeyRing
from postfleet_cli.datadir import DataDir, check_addresses
from postfleet_cli.exits import ExitCode, Refused

_GOOD_KEY = b64encode(bytes(32)).decode()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    directory = DataDir(tmp_path / "data")
    directory.open()
    yield directory
    directory.close()


def _refusal(of: object) -> Refused:
    assert isinstance(of, pytest.ExceptionInfo)
    refusal = of.value
    assert isinstance(refusal, Refused)
    return refusal


def test_keys_are_made_once_and_only_their_owner_reads_them(data: DataDir) -> None:
    made = data.keys({})
    assert data.keys({}) == made
    assert len(KeyRing.parse(made.master_key).keys) == 1
    assert made.api_key == data.api_key.read_text().strip()
    for file in (data.master_key, data.api_key):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_key_file_that_others_can_read_is_closed_to_them(data: DataDir) -> None:
    data.keys({})
    data.master_key.chmod(0o644)
    data.keys({})
    assert stat.S_IMODE(data.master_key.stat().st_mode) == 0o600


def test_the_environments_keys_win_and_are_not_kept(data: DataDir) -> None:
    keys = data.keys({"MASTER_KEY": _GOOD_KEY, "POSTFLEET_API_KEY": "0123456789abcdef"})
    assert (keys.master_key, keys.api_key) == (_GOOD_KEY, "0123456789abcdef")
    assert keys.api_key_from == "POSTFLEET_API_KEY"
    assert not data.master_key.exists()
    assert not data.api_key.exists()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param({"MASTER_KEY": "%%%"}, "MASTER_KEY.*not base64", id="no base64"),
        pytest.param({"MASTER_KEY": "AAAA"}, "MASTER_KEY.*3 bytes, not 32", id="too short"),
        pytest.param({"MASTER_KEY": ""}, "MASTER_KEY.*0 bytes", id="set but empty"),
        pytest.param({"MASTER_KEY": f"{_GOOD_KEY},x"}, "MASTER_KEY.*key 2", id="the second of two"),
        pytest.param({"POSTFLEET_API_KEY": "short"}, "POSTFLEET_API_KEY.*16", id="a short API key"),
    ],
)
def test_a_malformed_key_ends_with_78_and_says_which_and_why(
    data: DataDir, environ: dict[str, str], reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        data.keys(environ)
    assert _refusal(caught).code == ExitCode.CONFIG
    assert len(_refusal(caught).lines) == 1


@pytest.mark.parametrize(
    ("name", "bad", "good", "remedy"),
    [
        ("POSTFLEET_PUBLIC_URL", "mail.example.org", "https://mail.example.org", "start with http"),
        ("POSTFLEET_PUBLIC_URL", "ftp://example.org", "", "start with http"),
        ("NATS_URL", "garbage", "nats://a.test,tls://b.test:4223", "look like nats://host:4222"),
        ("NATS_URL", "nats://:4222", "", "look like nats://host:4222"),
        ("MONGODB_URL", "localhost:27017", "mongodb://localhost", "look like mongodb://host"),
    ],
)
def test_a_malformed_address_ends_with_78_and_says_why(
    name: str, bad: str, good: str, remedy: str
) -> None:
    with pytest.raises(Refused, match=f"{name}: must {remedy}") as caught:
        check_addresses({name: bad})
    assert _refusal(caught).code == ExitCode.CONFIG
    check_addresses({})
    check_addresses({name: good})


def test_a_damaged_key_file_is_named(data: DataDir) -> None:
    data.master_key.write_text("nonsense!")
    with pytest.raises(Refused, match=str(data.master_key)) as caught:
        data.keys({})
    assert _refusal(caught).code == ExitCode.CONFIG


def test_no_new_master_key_is_made_for_data_that_needs_the_old_one(data: DataDir) -> None:
    data.keys({})
    data.mongo.mkdir()
    data.master_key.unlink()
    with pytest.raises(Refused, match="MASTER_KEY is not set") as caught:
        data.keys({})
    assert _refusal(caught).code == ExitCode.CONFIG
    assert not data.master_key.exists()


def test_a_directory_that_cannot_be_made_ends_with_73(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Refused, match="--data DIR") as caught:
        DataDir(file / "below").open()
    assert _refusal(caught).code == ExitCode.CANNOT_CREATE
    assert len(_refusal(caught).lines) == 1


def test_a_second_owner_is_told_who_the_first_is(data: DataDir) -> None:
    with pytest.raises(Refused, match=f"process {os.getpid()}") as caught:
        DataDir(data.path).open()
    assert _refusal(caught).code == ExitCode.UNAVAILABLE


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    owner = (
        "import os, pathlib, sys; from postfleet_cli.datadir import DataDir;"
        "DataDir(pathlib.Path(sys.argv[1])).open(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", owner, str(tmp_path)], check=False)
    assert killed.returncode == -9
    directory = DataDir(tmp_path)
    directory.open()
    directory.close()
