"""What every service reads from the environment. Each service's `settings.py` adds its own."""

import os
import re
import sys
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from postfleet.secrets import BadMasterKey, KeyRing

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state


class ServiceSettings(BaseSettings):
    """Subclasses set `env_prefix="POSTFLEET_<SERVICE>_"` and add fields with a default and a reason."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # it holds secrets
        env_ignore_empty=True,  # compose passes an unset variable as an empty one
    )

    nats_url: str = Field(validation_alias="NATS_URL")
    nats_user: str | None = Field(None, validation_alias="NATS_USER")
    nats_password: SecretStr | None = Field(None, validation_alias="NATS_PASSWORD")
    nats_ca_file: str | None = Field(None, validation_alias="POSTFLEET_NATS_CA_FILE")
    mongodb_url: str = Field(validation_alias="MONGODB_URL")
    database_prefix: str = Field("", validation_alias="POSTFLEET_DATABASE_PREFIX")
    master_key: SecretStr = Field(validation_alias="MASTER_KEY")
    api_key: SecretStr = Field(validation_alias="POSTFLEET_API_KEY", min_length=16)
    public_url: str = Field("http://127.0.0.1:8080", validation_alias="POSTFLEET_PUBLIC_URL")
    http_host: str = Field("127.0.0.1", validation_alias="POSTFLEET_HTTP_HOST")
    http_port: int = Field(8000, validation_alias="POSTFLEET_HTTP_PORT", ge=0, le=65535)
    tls_ca_file: str | None = Field(None, validation_alias="POSTFLEET_TLS_CA_FILE")
    log_level: str = Field("INFO", validation_alias="POSTFLEET_LOG_LEVEL")

    @field_validator("master_key")
    @classmethod
    def _check_master_key(cls, value: SecretStr) -> SecretStr:
        try:
            KeyRing.parse(value.get_secret_value())
        except BadMasterKey as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        return checked_web_url(value).rstrip("/")

    @field_validator("nats_url")
    @classmethod
    def _check_nats_url(cls, value: str) -> str:
        return checked_nats_url(value)

    @field_validator("mongodb_url")
    @classmethod
    def _check_mongodb_url(cls, value: str) -> str:
        return checked_mongodb_url(value)

    @field_validator("tls_ca_file", "nats_ca_file")
    @classmethod
    def _check_ca_file(cls, value: str | None) -> str | None:
        if value and not os.access(value, os.R_OK):
            raise ValueError(f"{value} is no file that can be read")
        return value

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, value: str) -> str:
        if value.upper() not in _LEVELS:
            raise ValueError(f"must be one of {', '.join(_LEVELS)}")
        return value.upper()

    @property
    def key_ring(self) -> KeyRing:
        return KeyRing.parse(self.master_key.get_secret_value())


def checked_web_url(value: str) -> str:
    """ValueError says how it must begin."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def checked_nats_url(value: str) -> str:
    """One address, or several with commas between them; ValueError says how they must look."""
    if not all(_names_a_host(url, ("nats", "tls")) for url in value.split(",")):
        raise ValueError("must look like nats://host:4222, or tls://host:4222")
    return value


def checked_mongodb_url(value: str) -> str:
    """ValueError says how it must look."""
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must look like mongodb://host:27017")
    return value


def _names_a_host(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


S = TypeVar("S", bound=ServiceSettings)


def load(cls: type[S]) -> S:
    """The settings, or the end of the process with a line for each variable that is wrong."""
    try:
        return cls()
    except ValidationError as error:
        _explain(cls, error)
    except SettingsError as error:  # a list or a table, which is written as JSON
        named = re.search(r'field "(\w+)"', str(error))
        variable = _variable(cls, named[1]) if named else "settings"
        print(f"postfleet: {variable}: is no JSON: {error.__cause__}", file=sys.stderr)  # noqa: T201
        sys.exit(EX_CONFIG)


def _explain(cls: type[ServiceSettings], error: ValidationError) -> NoReturn:
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        variable = _variable(cls, str(location[0])) if location else "settings"
        message = problem["msg"].removeprefix("Value error, ")
        what = "is not set" if problem["type"] == "missing" else message
        print(f"postfleet: {variable}: {what}", file=sys.stderr)  # noqa: T201
    sys.exit(EX_CONFIG)


def _variable(cls: type[ServiceSettings], location: str) -> str:
    """The environment variable behind a field or alias."""
    field = cls.model_fields.get(location)
    if field is None or field.validation_alias is not None:
        alias = field.validation_alias if field else location
        return alias.choices[0].__str__() if isinstance(alias, AliasChoices) else str(alias)
    return f"{cls.model_config.get('env_prefix', '')}{location}".upper()
