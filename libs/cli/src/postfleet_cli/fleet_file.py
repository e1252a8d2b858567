"""fleet.yaml: what the fleet should look like. Unknown words are refused, with their place."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from postfleet_cli.exits import ExitCode, Refused

_MAX_BYTES = 20_000_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dmarc(_Part):
    policy: Literal["none", "quarantine", "reject"] = "reject"
    pct: int | None = Field(None, ge=0, le=100)


class Mailbox(_Part):
    prefix: str
    display_name: str = ""


class Relay(_Part):
    """The password is read from the environment: files are kept in version control."""

    preset: str = "custom"
    region: str = ""
    host: str = ""
    port: int | None = None
    username: str = ""
    password_env: str = ""


class Domain(_Part):
    name: str
    dmarc: Dmarc = Dmarc()
    mail: Literal["full", "sending"] = "full"
    mta_sts: Literal["off", "none", "testing", "enforce"] = "off"
    dns: Literal["apply", "manual"] = "manual"  # whether we publish the records
    mailboxes: tuple[Mailbox, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # prefix -> targets
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    catch_all: tuple[str, ...] = ()
    relay: Relay | None = None


class Sender(_Part):
    """An internal sender: `domain` and `prefix` of a mailbox that is made for it."""

    domain: str
    prefix: str
    display_name: str | None = None
    daily_limit: int | None = Field(None, ge=0)
    monthly_limit: int | None = Field(None, ge=0)

    @property
    def address(self) -> str:
        return f"{self.prefix}@{self.domain}".lower()


class Fleet(_Part):
    domains: tuple[Domain, ...] = ()
    senders: Annotated[tuple[Sender, ...], Field(default=())]
    blocklist: tuple[str, ...] = ()


def load(path: Path) -> Fleet:
    """Raises Refused with a line for each thing that is wrong."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Refused(ExitCode.CONFIG, f"{path} is larger than 20 MB")
        content = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise Refused(ExitCode.CONFIG, f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(ExitCode.CONFIG, f"{path}: {' '.join(str(error).split())}") from error
    try:
        fleet = Fleet.model_validate(content or {})
    except ValidationError as error:
        lines = [f"{path}: {_place(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise Refused(ExitCode.CONFIG, *lines) from error
    return _each_once(path, fleet)


def secret_of(relay: Relay, environ: Mapping[str, str] = os.environ) -> str:
    if relay.password_env and relay.password_env not in environ:
        raise Refused(ExitCode.CONFIG, f"the variable {relay.password_env} is not set")
    return environ.get(relay.password_env, "")


def _each_once(path: Path, fleet: Fleet) -> Fleet:
    names = [domain.name.lower() for domain in fleet.domains]
    senders = [sender.address for sender in fleet.senders]
    twice = sorted({n for found in (names, senders) for n in found if found.count(n) > 1})
    if twice:
        raise Refused(ExitCode.CONFIG, *(f"{path}: {name} is there twice" for name in twice))
    return fleet


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that is there twice: YAML itself would let the last one win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {key!r} is there twice")
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found
