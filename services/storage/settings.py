"""Settings of the storage service."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from servicekit.addresses import Listening, WebAddress
from servicekit.settings import ServerSettings
from services.storage.domain.model import Access
from services.storage.domain.placements import PLACEMENT_NAME, OnError, wrong_with_template

SHORTEST_KEY = 32
LONGEST_KEPT = timedelta(days=100 * 366)

BackendName = Literal["local", "azure", "cloudinary"]


def _each_once(backends: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(backends)) < len(backends):
        raise ValueError("a backend is named twice; name each once, in the order in which they are preferred")
    return backends


def _makes_keys(template: str) -> str:
    if why := wrong_with_template(template):
        raise ValueError(why)
    return template


class PlacementChange(BaseModel):
    """What an operator wants of a placement instead of what Modelyard comes with."""

    model_config = ConfigDict(extra="forbid")

    # A null would be no value of most: they are left out of a change, not set to nothing.
    backends: Annotated[tuple[BackendName, ...], Field(min_length=1), AfterValidator(_each_once)] = ("local",)
    key_template: Annotated[str, AfterValidator(_makes_keys)] = "{user}/{file_name}"
    on_error: OnError = OnError.FAIL
    required: bool = False
    keep_local_copy: bool = False
    access: Access = Access.SIGNED
    expires_after: timedelta | None = Field(None, gt=timedelta(), le=LONGEST_KEPT)

    @property
    def wanted(self) -> dict[str, Any]:
        """What is given, and nothing else; a null takes an expiry away."""
        return {name: getattr(self, name) for name in self.model_fields_set}


@dataclass(frozen=True)
class Readiness:
    """Whether a cloud backend can be used as it is configured."""

    on: bool
    """Somebody wants it."""
    lacks: str
    """Why it cannot be used; empty when it can."""


class StorageSettings(ServerSettings):
    """What the storage service reads; names begin with STORAGE_, and those of a cloud with its name."""

    model_config = SettingsConfigDict(env_prefix="STORAGE_")

    bind: Listening = "127.0.0.1:50051"
    """Host and port to listen on."""
    root: Path | None = None
    """Folder of the local backend; `objects` in the data folder when empty."""
    signing_key: SecretStr = SecretStr("")
    """Signs addresses; at least 32 characters. When empty, a key is made once and kept in the root."""
    sign_ttl: int = Field(3600, ge=1, le=7 * 24 * 3600)
    """Seconds that a signed address works when the caller does not say."""
    quota_bytes: int = Field(0, ge=0)
    """Most bytes that one owner may keep; 0 sets no limit."""
    placements: dict[Annotated[str, Field(pattern=PLACEMENT_NAME)], PlacementChange] = Field(default_factory=dict)
    """Changes to the placements, as a JSON object of name to attributes."""

    azure_storage_enabled: bool | None = Field(None, validation_alias="AZURE_STORAGE_ENABLED")
    """false turns Azure off though it is configured, true makes its lack an error; empty goes by the rest."""
    azure_account_url: WebAddress = Field("", validation_alias="AZURE_ACCOUNT_URL")
    """Address of the storage account."""
    azure_tenant_id: str = Field("", validation_alias="AZURE_TENANT_ID")
    """Directory of the service principal."""
    azure_client_id: str = Field("", validation_alias="AZURE_CLIENT_ID")
    """Id of the service principal, which needs the role Storage Blob Data Contributor."""
    azure_client_secret: SecretStr = Field(SecretStr(""), validation_alias="AZURE_CLIENT_SECRET")
    """Its secret."""
    azure_account_key: SecretStr = Field(SecretStr(""), validation_alias="AZURE_ACCOUNT_KEY")
    """Key of the account, in place of a service principal."""
    azure_connection_string: SecretStr = Field(SecretStr(""), validation_alias="AZURE_STORAGE_CONNECTION_STRING")
    """Address and key in one, in place of the others; what emulators give."""
    azure_datasets_container: str = Field("datasets", validation_alias="AZURE_DATASETS_CONTAINER")
    """Container for datasets."""
    azure_models_container: str = Field("models", validation_alias="AZURE_MODELS_CONTAINER")
    """Container for models."""

    cloudinary_cloud_name: str = Field("", validation_alias="CLOUDINARY_CLOUD_NAME")
    """Name of the Cloudinary cloud."""
    cloudinary_api_key: SecretStr = Field(SecretStr(""), validation_alias="CLOUDINARY_API_KEY")
    """Its API key."""
    cloudinary_api_secret: SecretStr = Field(SecretStr(""), validation_alias="CLOUDINARY_API_SECRET")
    """Its API secret."""
    cloudinary_upload_prefix: WebAddress = Field("", validation_alias="CLOUDINARY_UPLOAD_PREFIX")
    """Address of the Cloudinary API; that of the vendor when empty."""
    cloudinary_delivery_url: WebAddress = Field("", validation_alias="CLOUDINARY_DELIVERY_URL")
    """Address that objects are delivered from; that of the vendor when empty."""

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

    @property
    def azure(self) -> Readiness:
        """Whether Azure can be used."""
        if self.azure_storage_enabled is False:
            return Readiness(False, "AZURE_STORAGE_ENABLED is false")
        if self.azure_connection_string.get_secret_value():
            return Readiness(True, "")
        principal = {
            "AZURE_TENANT_ID": self.azure_tenant_id,
            "AZURE_CLIENT_ID": self.azure_client_id,
            "AZURE_CLIENT_SECRET": self.azure_client_secret.get_secret_value(),
        }
        key = {"AZURE_ACCOUNT_KEY": self.azure_account_key.get_secret_value()}
        identity = key if any(key.values()) else principal
        return _readiness({"AZURE_ACCOUNT_URL": self.azure_account_url, **identity}, self.azure_storage_enabled is True)

    @property
    def cloudinary(self) -> Readiness:
        """Whether Cloudinary can be used."""
        given = {
            "CLOUDINARY_CLOUD_NAME": self.cloudinary_cloud_name,
            "CLOUDINARY_API_KEY": self.cloudinary_api_key.get_secret_value(),
            "CLOUDINARY_API_SECRET": self.cloudinary_api_secret.get_secret_value(),
        }
        return _readiness(given, wanted=False)


def _readiness(given: dict[str, str], wanted: bool) -> Readiness:
    missing = [name for name, value in given.items() if not value]
    on = wanted or len(missing) < len(given)
    return Readiness(on, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set" if missing else "")
