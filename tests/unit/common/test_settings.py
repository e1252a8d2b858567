"""A service that is not configured says what is wrong, one line a variable, and ends with 78."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from postfleet.secrets import KeyRing
from postfleet.settings import EX_CONFIG, ServiceSettings, load

SECRET = "pa55word-that-must-not-be-shown"
GOOD = {
    "NATS_URL": "nats://127.0.0.1:4222",
    "MONGODB_URL": f"mongodb://user:{SECRET}@127.0.0.1:27017/",
    "MASTER_KEY": KeyRing.generate(),
    "POSTFLEET_API_KEY": "key-of-sixteen-characters",
}


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="POSTFLEET_EXAMPLE_")

    workers: int = Field(4, ge=1)
    smtp_port: int = Field(2587, ge=1, le=65535)

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if self.workers > 100 and self.smtp_port == 25:
            raise ValueError("more than 100 workers do not fit on port 25")
        return self


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NATS_USER", "NATS_PASSWORD", "POSTFLEET_HTTP_PORT", "POSTFLEET_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def _refusal(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which `load` ended the process."""
    with pytest.raises(SystemExit) as end:
        load(Settings)
    assert end.value.code == EX_CONFIG == 78
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


def test_the_environment_is_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("POSTFLEET_EXAMPLE_WORKERS", "7")
    environment.setenv("POSTFLEET_PUBLIC_URL", "https://mail.one.test/")
    environment.setenv("POSTFLEET_LOG_LEVEL", "debug")
    settings = load(Settings)
    assert settings.workers == 7
    assert settings.public_url == "https://mail.one.test"
    assert settings.log_level == "DEBUG"
    assert settings.key_ring.newest == KeyRing.parse(GOOD["MASTER_KEY"]).newest


@pytest.mark.parametrize("variable", GOOD)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_missing_or_empty_variable_is_named_in_one_line(
    variable: str, how: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "missing":
        environment.delenv(variable)
    else:
        environment.setenv(variable, "")
    assert _refusal(capsys) == [f"postfleet: {variable}: is not set"]


def test_every_missing_variable_has_its_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in GOOD:
        environment.delenv(variable)
    assert _refusal(capsys) == [f"postfleet: {variable}: is not set" for variable in GOOD]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        pytest.param("NATS_URL", f"http://a:{SECRET}@b:4222", "must look like nats://host:4222",
                     id="NATS under another scheme"),
        pytest.param("NATS_URL", "127.0.0.1:4222", "must look like", id="NATS without a scheme"),
        pytest.param("NATS_URL", "nats://a:4222,b:4222", "must look like", id="one of two is bad"),
        pytest.param("NATS_URL", "nats://a:port", "must look like", id="a port that is no number"),
        pytest.param("MONGODB_URL", f"postgres://a:{SECRET}@b/", "must look like mongodb://host",
                     id="another database"),
        pytest.param("MASTER_KEY", SECRET, "key 1 is not base64", id="a password as master key"),
        pytest.param("MASTER_KEY", "c2hvcnQ=", "make one with: openssl rand -base64 32",
                     id="a short master key, and the remedy"),
        pytest.param("POSTFLEET_API_KEY", "pa55word", "at least 16", id="a short API key"),
        pytest.param("POSTFLEET_PUBLIC_URL", "mail.one.test", "must start with http://",
                     id="a public URL without a scheme"),
        pytest.param("POSTFLEET_HTTP_PORT", "http", "valid integer", id="a port that is a word"),
        pytest.param("POSTFLEET_HTTP_PORT", "65536", "less than or equal to 65535", id="port 65536"),
        pytest.param("POSTFLEET_LOG_LEVEL", "LOUD", "must be one of DEBUG, INFO", id="a log level"),
        pytest.param("POSTFLEET_TLS_CA_FILE", "/no/such.pem", "no file that can be read",
                     id="a CA file that is not there"),
        pytest.param("POSTFLEET_EXAMPLE_WORKERS", "0", "greater than or equal to 1",
                     id="the service's own"),
    ],
)  # fmt: skip
def test_a_malformed_variable_is_named_with_what_is_wrong_and_no_secret(
    variable: str,
    value: str,
    reason: str,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.setenv(variable, value)
    (line,) = _refusal(capsys)
    assert line.startswith(f"postfleet: {variable}: ")
    assert reason in line
    assert "pa55word" not in line


def test_settings_that_contradict_each_other_are_explained(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("POSTFLEET_EXAMPLE_WORKERS", "101")
    environment.setenv("POSTFLEET_EXAMPLE_SMTP_PORT", "25")
    (line,) = _refusal(capsys)
    assert line == "postfleet: settings: more than 100 workers do not fit on port 25"


def test_two_servers_may_be_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NATS_URL", "nats://a:4222,tls://b:4222")
    assert load(Settings).nats_url == "nats://a:4222,tls://b:4222"


def test_no_secret_is_shown_when_the_settings_are_printed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NATS_PASSWORD", SECRET)
    shown = f"{load(Settings)!r} {load(Settings).model_dump()}".replace(GOOD["MONGODB_URL"], "")
    assert SECRET not in shown
    assert GOOD["MASTER_KEY"] not in shown
    assert GOOD["POSTFLEET_API_KEY"] not in shown


def test_a_process_ends_with_78_and_no_traceback(tmp_path: Path) -> None:
    program = "from postfleet.settings import ServiceSettings, load; load(ServiceSettings)"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"MASTER_KEY": SECRET},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 78
    assert result.stderr.splitlines() == [
        "postfleet: NATS_URL: is not set",
        "postfleet: MONGODB_URL: is not set",
        "postfleet: MASTER_KEY: key 1 is not base64",
        "postfleet: POSTFLEET_API_KEY: is not set",
    ]
