"""The configuration volume: whole files or none, one writer at a time."""

import asyncio
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mail_provisioner.volume import ConfigVolume, VolumeBusy

FILE = "postfix-accounts.cf"


def appending(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}{line}\n"


async def test_a_file_is_made_with_its_directory_and_replaced_as_a_whole(tmp_path: Path) -> None:
    volume = ConfigVolume(tmp_path / "deep" / "config")
    async with volume.locked():
        await volume.edit(FILE, appending("one"))
    first = (tmp_path / "deep" / "config" / FILE).stat().st_ino
    async with volume.locked():
        await volume.edit(FILE, appending("two"))
        assert await volume.read(FILE) == "one\ntwo\n"
    assert (tmp_path / "deep" / "config" / FILE).stat().st_ino != first


async def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text("one\n")
    before = path.stat()
    await ConfigVolume(tmp_path).edit(FILE, lambda text: text)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_bytes_that_are_no_text_and_the_mode_survive(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"# \xff\xfe\n")
    path.chmod(0o640)
    await ConfigVolume(tmp_path).edit(FILE, appending("one"))
    assert path.read_bytes() == b"# \xff\xfe\none\n"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
async def test_after_an_error_the_old_file_is_there_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / FILE).write_text("old\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"mail_provisioner.volume.os.{call}", full)
    with pytest.raises(OSError, match="No space"):
        await ConfigVolume(tmp_path).edit(FILE, appending("new"))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [FILE]
    assert (tmp_path / FILE).read_text() == "old\n"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this container may not mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    old = "# old\n" * 5000  # 30 kB
    (tiny_disk / FILE).write_text(old)
    volume = ConfigVolume(tiny_disk)
    with pytest.raises(OSError, match="No space left"):
        async with volume.locked():
            await volume.edit(FILE, lambda text: text + "x" * 40_000)
    assert (tiny_disk / FILE).read_text() == old
    assert sorted(os.listdir(tiny_disk)) == [".postfleet.lock", FILE]


async def test_two_volumes_in_one_process_lose_no_line(tmp_path: Path) -> None:
    volumes = [ConfigVolume(tmp_path), ConfigVolume(tmp_path)]

    async def write(number: int) -> None:
        volume = volumes[number % 2]
        async with volume.locked():
            await volume.edit(FILE, appending(str(number)))

    await asyncio.gather(*(write(number) for number in range(40)))
    assert sorted(map(int, (tmp_path / FILE).read_text().split())) == list(range(40))


_WRITER = """
import asyncio, sys
from pathlib import Path
from mail_provisioner.volume import ConfigVolume

async def main(directory, name):
    volume = ConfigVolume(Path(directory))
    for number in range(25):
        async with volume.locked():
            await volume.edit("postfix-accounts.cf", lambda text: f"{text}{name}{number}\\n")

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_provisioners_at_once_lose_no_line(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    expected = {f"{name}{number}" for name in "ab" for number in range(25)}
    lines = (tmp_path / FILE).read_text().split()
    assert (len(lines), set(lines)) == (50, expected)


async def test_a_lock_of_docker_mailserver_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "check-for-changes.sh.lock"
    lock.write_text("some-uuid")
    entered = asyncio.Event()

    async def enter() -> None:
        async with ConfigVolume(tmp_path).locked():
            entered.set()

    waiting = asyncio.create_task(enter())
    await asyncio.sleep(0.5)
    assert not entered.is_set()
    lock.unlink()
    async with asyncio.timeout(2):
        await waiting
    assert entered.is_set()


async def test_a_stale_lock_of_docker_mailserver_is_ignored(tmp_path: Path) -> None:
    lock = tmp_path / "check-for-changes.sh.lock"
    lock.write_text("some-uuid")
    os.utime(lock, (time.time() - 61, time.time() - 61))
    async with asyncio.timeout(2), ConfigVolume(tmp_path).locked():
        assert lock.exists()


async def test_a_change_by_hand_during_the_edit_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text("one\n")
    by_hand = iter(["one\nby hand\n"])

    def change(text: str) -> str:
        if late := next(by_hand, ""):
            path.write_text(late)
        return f"{text}ours\n"

    await ConfigVolume(tmp_path).edit(FILE, change)
    assert path.read_text() == "one\nby hand\nours\n"


async def test_a_file_that_never_rests_is_reported(tmp_path: Path) -> None:
    path = tmp_path / FILE

    def change(text: str) -> str:
        path.write_text(f"{text}by hand\n")
        return f"{text}ours\n"

    with pytest.raises(VolumeBusy, match=FILE):
        await ConfigVolume(tmp_path).edit(FILE, change)
    assert "ours" not in path.read_text()
