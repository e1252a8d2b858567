"""Every setting of every service, set wrong: the variable is named, and nothing else happens."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from postfleet.secrets import KeyRing
from postfleet.settings import ServiceSettings, load

_PACKAGES = ("sender_registry", "dispatcher", "inbox_watcher", "tracker", "mail_provisioner")
_GOOD = {
    "NATS_URL": "nats://127.0.0.1:4222",
    "MONGODB_URL": "mongodb://127.0.0.1:27017/",
    "MASTER_KEY": KeyRing.generate(),
    "POSTFLEET_API_KEY": "key-of-sixteen-characters",
}
#: Text that cannot be wrong by itself: names, passwords, places that are looked at when they are used.
_FREE = frozenset({str, str | None, SecretStr, SecretStr | None, Path, Path | None})


def _settings(package: str) -> type[ServiceSettings]:
    cls: type[ServiceSettings] = import_module(f"{package}.settings").Settings
    return cls


def _variable(cls: type[ServiceSettings], name: str) -> str:
    alias = cls.model_fields[name].validation_alias
    return str(alias) if alias else f"{cls.model_config['env_prefix']}{name}".upper()


def _wrong() -> list[Any]:
    """Service, variable and a value that no number, switch, list or table can have."""
    rows = []
    for package in _PACKAGES:
        cls = _settings(package)
        for name, field in cls.model_fields.items():
            if field.annotation not in _FREE:
                variable = _variable(cls, name)
                rows.append(pytest.param(cls, variable, id=f"{package} {variable}"))
    return rows


@pytest.mark.parametrize(("cls", "variable"), _wrong())
def test_a_wrong_value_ends_the_start_and_names_the_variable(
    cls: type[ServiceSettings],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in _GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(variable, "[nonsense")
    with pytest.raises(SystemExit) as end:
        load(cls)
    assert end.value.code == 78
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"postfleet: {variable}: ")
    assert len(line) > len(f"postfleet: {variable}: ") + 5, "it says what is right"


@pytest.mark.parametrize("package", _PACKAGES)
@pytest.mark.parametrize("missing", _GOOD)
def test_what_has_no_default_is_asked_for_by_name(
    package: str, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in _GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(SystemExit) as end:
        load(_settings(package))
    assert end.value.code == 78
    assert capsys.readouterr().err.splitlines() == [f"postfleet: {missing}: is not set"]
