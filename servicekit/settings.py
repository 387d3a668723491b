"""Settings that every process has. Each service adds its own under its own prefix."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    bind: str
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


def is_loopback(bind: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name, or the empty one, that may resolve to anything
        return False
