"""Settings that every process has. Each service adds its own under its own prefix."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from servicekit.addresses import Listening, is_loopback

LONGEST_SECONDS = 366 * 24 * 3600
"""A year: far above what anybody waits for, far below what clocks and timers can hold."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]


class Settings(BaseSettings):
    """What every process reads from the environment, then from `.env`.

    Environment names are those of `validation_alias` for shared settings, and the prefix with the field's name for a
    service's own.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # what is refused may be a secret, and standard error is a log
        allow_inf_nan=False,
    )

    data_dir: Path = Field(Path(".data"), validation_alias="MODELYARD_DATA_DIR")
    """Folder for everything that is kept on this machine."""
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", validation_alias="MODELYARD_LOG_LEVEL")
    """Least severe messages to log."""
    log_format: Literal["console", "json"] = Field("console", validation_alias="MODELYARD_LOG_FORMAT")
    """How a log line looks: for people, or one JSON object a line."""
    service_token: SecretStr = Field(SecretStr(""), validation_alias="MODELYARD_SERVICE_TOKEN")
    """Shared secret by which the processes know each other; required where a service listens beyond loopback."""
    exit_with_parent: bool = Field(False, validation_alias="MODELYARD_EXIT_WITH_PARENT")
    """Stop when standard input ends, that is, when the process that started this one is gone."""


class ServerSettings(Settings):
    """What every gRPC server reads besides."""

    bind: Listening
    """Host and port to listen on."""
    drain_seconds: float = Field(10, gt=0, le=600)
    """How long running calls may take to end after SIGTERM."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of the Prometheus metrics; 0 serves none."""

    @model_validator(mode="after")
    def _locked_beyond_loopback(self) -> Self:
        if not is_loopback(self.bind) and not self.service_token.get_secret_value():
            raise ValueError(
                f"{self.bind} can be reached from other machines: set MODELYARD_SERVICE_TOKEN, or listen on 127.0.0.1"
            )
        return self


class SettingsWrong(Exception):
    """Settings that cannot be used: a line for each, without its value, which may be a secret."""


Kind = TypeVar("Kind", bound=BaseSettings)


def read(kind: type[Kind]) -> Kind:
    """The settings as the environment has them; raises SettingsWrong."""
    try:
        return kind()
    except ValidationError as error:
        raise SettingsWrong("\n".join(_sentence(kind, wrong) for wrong in error.errors())) from None
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        told = _variable(kind, field[1]) if field else str(error)
        raise SettingsWrong(f"{told} is no JSON; write it as .env.example says.") from None


def _sentence(kind: type[BaseSettings], wrong: ErrorDetails) -> str:
    message = wrong["msg"].removeprefix("Value error, ")
    if not wrong["loc"]:  # several settings do not go together
        return f"{message}."
    field, *inside = map(str, wrong["loc"])
    return f"{'.'.join([_variable(kind, field), *inside])}: {message}."


def _variable(kind: type[BaseSettings], place: str) -> str:
    """The environment's name for a field, or its names. One that has a name of its own is told by it already."""
    for field in kind.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices) and place in field.validation_alias.choices:
            return " or ".join(map(str, field.validation_alias.choices))
    return f"{kind.model_config['env_prefix']}{place}".upper() if place in kind.model_fields else place
