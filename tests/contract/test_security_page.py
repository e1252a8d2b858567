"""docs/security.md names tests; each of them exists. So do the defences that are about files."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
TESTS = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE)
}

#: What must be in no committed file. The parts are joined here so that this file is clean itself.
_PATTERNS = {
    "a private key": r"-----BEGIN (?:RSA |EC |OPENSSH |)PRIVATE " + "KEY-----",
    "a key of a cloud": r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abp]-[0-9A-Za-z-]{20,}",
    "an API key of ours": r"\bpf_[A-Za-z0-9_-]{43}\b",
    "a password in an address": r"\b(?:https?|nats|mongodb)://[^\s/:@\"'{}$<>]+:[^\s/@\"'{}$<>*]{6,}@",
    "a machine's own path": r"(?:/home/(?!nonroot|postfleet)\w+/|/Users/\w+/|/tmp/" + r"wt/)",
    "a package registry's host": r"https?://(?!(?:files\.)?pypi|registry\.npmjs\.org)[\w.-]*"
    + r"(?:artifactory|nexus|jfrog|pypi-mirror|devpi|npm-mirror|goproxy)[\w.-]*",
}
_ALLOWED = {
    # what the test of webhook and mongo addresses refuses, or a documented form without a secret
    ("a password in an address", "example"),
    ("a password in an address", "user:password"),
    ("a password in an address", "secret"),
    ("a machine's own path", "/home/ann/"),  # in replies of servers, as Dovecot gives them
}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_exists(name: str) -> None:
    assert name in TESTS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+)`", PAGE))))
def test_a_file_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_threat_names_what_shows_its_defence() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("| ") and "| shown by |" not in line
    ]
    assert len(rows) > 20
    assert not [row for row in rows if "`test" not in row.rsplit("|", 2)[1]]


def _committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode()
    found = [ROOT / name for name in listed.split("\0") if name]
    if not found:
        pytest.skip("no git checkout here: what is committed cannot be told")
    return [file for file in found if file.is_file() and file.stat().st_size < 5_000_000]


def _findings(text: str) -> list[str]:
    return [
        f"{what}: {hit.group(0)[:12]}…"
        for what, pattern in _PATTERNS.items()
        for hit in re.finditer(pattern, text)
        if not any(kind == what and word in hit.group(0) for kind, word in _ALLOWED)
    ]


def test_no_file_of_the_repository_holds_a_secret_or_a_trace_of_a_machine() -> None:
    found = {
        str(file.relative_to(ROOT)): problems
        for file in _committed()
        if (problems := _findings(file.read_bytes().decode(errors="ignore")))
    }
    assert not found


@pytest.mark.parametrize(
    "planted",
    [
        "-----BEGIN " + "PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "pf_" + "a" * 43,
        "mongodb://root:" + "hunter2hunter2@db",
        "/home/" + "jane/project",
        "https://arti" + "factory.corp.example/api",
    ],
)
def test_the_scan_finds_what_is_planted(planted: str) -> None:
    assert _findings(f"x = '{planted}'")


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda f: f.name
)
def test_every_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    packages = re.findall(r"^([\w.\[\]-]+)==", text, re.MULTILINE)
    assert packages
    blocks = re.split(r"\n(?=[\w.-]+==)", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)
    assert "://" not in text
