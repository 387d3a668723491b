"""Settings of the storage service."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServerSettings

SHORTEST_KEY = 32


class StorageSettings(ServerSettings):
    """What the storage service reads; names begin with STORAGE_."""

    model_config = SettingsConfigDict(env_prefix="STORAGE_")

    bind: str = "127.0.0.1:50051"
    """Host and port to listen on."""
    root: Path | None = None
    """Folder of the local backend; `objects` in the data folder when empty."""
    signing_key: SecretStr = SecretStr("")
    """Signs download addresses; at least 32 characters. When empty, a key is made once and kept in the root."""
    sign_ttl: int = Field(3600, ge=1, le=7 * 24 * 3600)
    """Seconds that a signed download address works when the caller does not say."""

    @field_validator("root", mode="before")
    @classmethod
    def _empty_is_none(cls, root: object) -> object:
        return root or None

    @field_validator("signing_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(f"a signing key has at least {SHORTEST_KEY} characters; leave it empty to have one made")
        return key

    @property
    def objects(self) -> Path:
        """Folder in which the local backend keeps its objects."""
        return self.root or self.data_dir / "objects"
