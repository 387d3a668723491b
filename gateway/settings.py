"""Settings of the gateway."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from servicekit.addresses import HostAndPort, Target, is_loopback
from servicekit.settings import LONGEST_SECONDS, Settings

SHORTEST_KEY = 16


class GatewaySettings(Settings):
    """What the gateway reads from the environment."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore", populate_by_name=True)

    bind: HostAndPort = "127.0.0.1:8000"
    """Host and port to listen on."""
    api_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """User id to API key, as a JSON object; required where the gateway listens beyond loopback."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Host names by which browsers may call the gateway, as a JSON array; "*" allows all."""
    storage_address: Target = Field("127.0.0.1:50051", validation_alias="STORAGE_ADDRESS")
    """Where the storage service is."""
    metadata_address: Target = Field("127.0.0.1:50052", validation_alias="METADATA_ADDRESS")
    """Where the metadata service is."""
    training_address: Target = Field("127.0.0.1:50053", validation_alias="TRAINING_ADDRESS")
    """Where the training service is."""
    job_slots: int = Field(4, ge=1, le=64)
    """Jobs that this gateway works on at the same time; training has a queue of its own."""
    lease_seconds: float = Field(6, ge=1, le=600)
    """How long a job waits for its worker's next sign of life before another worker takes it over."""
    max_upload_bytes: int = Field(64 * 2**30, ge=1)
    """Largest file that may be uploaded."""
    pending_upload_seconds: float = Field(6 * 3600, ge=60, le=LONGEST_SECONDS)
    """Age at which an upload that never finished is cleaned up."""
    admins: tuple[str, ...] = ()
    """Ids of the users who may look after the storage, as a JSON array; the built-in user of loopback always may."""
    upkeep_seconds: float = Field(3600, ge=0, le=LONGEST_SECONDS)
    """How often this gateway sweeps what has expired and makes missing copies; 0 never."""
    uploads_per_minute: int = Field(600, ge=0)
    """Uploads that each user with a key may begin in a minute; 0 sets no limit.

    Ten a second, in bursts of up to 600: far above what a person or a script of theirs needs, low enough that one of
    them who loops by mistake leaves room for the others. The built-in user of loopback has nobody to leave room for.
    """
    downloads_per_minute: int = Field(3000, ge=0)
    """The same for downloads; each range of a file counts, of which readers of a large file ask for many."""

    @field_validator("api_keys")
    @classmethod
    def _keys_are_long(cls, keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if len({key.get_secret_value() for key in keys.values()}) < len(keys):
            raise ValueError("two users have the same API key; give each one of their own")
        if any(len(key.get_secret_value()) < SHORTEST_KEY for key in keys.values()):
            raise ValueError(f"an API key has at least {SHORTEST_KEY} characters; `openssl rand -hex 24` makes one")
        return keys

    @model_validator(mode="after")
    def _locked_beyond_loopback(self) -> Self:
        if not is_loopback(self.bind) and not self.api_keys:
            raise ValueError(
                f"{self.bind} can be reached from other machines: set GATEWAY_API_KEYS, or listen on 127.0.0.1"
            )
        return self
