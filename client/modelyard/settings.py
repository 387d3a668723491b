"""Settings of the client and of the local yard."""

from pathlib import Path

from pydantic import Field, SecretStr

from modelyard.errors import ModelyardError
from servicekit.settings import Settings, SettingsWrong, read


class ClientSettings(Settings):
    """What the command line reads from the environment, and where the local yard listens."""

    url: str = Field("", validation_alias="MODELYARD_URL")
    """Address of the gateway to talk to; the local one when empty."""
    api_key: SecretStr = Field(SecretStr(""), validation_alias="MODELYARD_API_KEY")
    """Key to show to a gateway that asks for one."""
    storage_bind: str = Field("127.0.0.1:50051", validation_alias="STORAGE_BIND")
    """Host and port on which the local yard's storage service listens."""
    metadata_bind: str = Field("127.0.0.1:50052", validation_alias="METADATA_BIND")
    """The same for the metadata service."""
    training_bind: str = Field("127.0.0.1:50053", validation_alias="TRAINING_BIND")
    """The same for the training service."""
    gateway_bind: str = Field("127.0.0.1:8000", validation_alias="GATEWAY_BIND")
    """The same for the gateway."""
    start_seconds: float = Field(60, gt=0, validation_alias="MODELYARD_START_SECONDS")
    """How long the local yard may take until it is ready."""
    stop_seconds: float = Field(15, gt=0, validation_alias="MODELYARD_STOP_SECONDS")
    """How long each process of the local yard may take to stop before it is killed."""

    @property
    def local_url(self) -> str:
        """Where the local yard's gateway answers."""
        return f"http://{reachable(self.gateway_bind)}"

    @property
    def server_url(self) -> str:
        """The gateway to talk to."""
        return self.url or self.local_url

    @property
    def kept_in(self) -> Path:
        """The data folder, absolute."""
        return self.data_dir.expanduser().resolve()


def client_settings() -> ClientSettings:
    """The settings as the environment has them; a ModelyardError that says what cannot be used of them."""
    try:
        return read(ClientSettings)
    except SettingsWrong as wrong:
        raise ModelyardError(0, "SETTINGS_WRONG", str(wrong)) from None


def reachable(bind: str) -> str:
    """The address at which this machine reaches a server that listens on `bind`."""
    if bind.startswith("unix:"):
        return bind
    host, _, port = bind.rpartition(":")
    return f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 — compared, not listened on
