"""Settings of the metadata service."""

from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServerSettings

SQLITE = "sqlite+aiosqlite:///"


class MetadataSettings(ServerSettings):
    """What the metadata service reads; names begin with METADATA_."""

    model_config = SettingsConfigDict(env_prefix="METADATA_")

    bind: str = "127.0.0.1:50052"
    """Host and port to listen on."""
    url: SecretStr = SecretStr("")
    """Database, as sqlite+aiosqlite:///path; the file metadata.db in the data folder when empty."""

    @field_validator("url")
    @classmethod
    def _known(cls, url: SecretStr) -> SecretStr:
        given = url.get_secret_value()
        if given and not (given.startswith(SQLITE) and given.removeprefix(SQLITE).strip(":/") not in ("", "memory")):
            raise ValueError(f"the database is a file for now: {SQLITE}/absolute/path or {SQLITE}relative/path")
        return url

    @property
    def database(self) -> str:
        """URL of the database."""
        return self.url.get_secret_value() or f"{SQLITE}{self.data_dir / 'metadata.db'}"
