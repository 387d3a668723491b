"""Settings of the metadata service."""

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from servicekit.addresses import Listening
from servicekit.settings import Seconds, ServerSettings

KINDS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mongodb": "mongodb",  # and mongodb+srv
}
"""The kind of store by the scheme of its address."""
SQLITE = "sqlite:///"
ADDRESSES = ("METADATA_URL", "DATABASE_URL", "MONGODB_URI", "MONGO_URI")
"""Variables that may hold the address of the database; the first of them that there is counts."""
WRONG = (
    "the database is sqlite:////absolute/path or sqlite:///relative/path, or on a server, as one of "
    f"{', '.join(f'{scheme}://' for scheme in KINDS if scheme != 'sqlite')} user:password@host/database"
)


class MetadataSettings(ServerSettings):
    """What the metadata service reads; names begin with METADATA_."""

    model_config = SettingsConfigDict(env_prefix="METADATA_", hide_input_in_errors=True)  # an address has a password

    bind: Listening = "127.0.0.1:50052"
    """Host and port to listen on."""
    url: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices(*ADDRESSES))
    """Database; the file metadata.db in the data folder when empty."""
    mongo_db_name: str = Field("", validation_alias=AliasChoices("METADATA_MONGO_DB_NAME", "MONGO_DB_NAME"))
    """Name of the database, where the address of a MongoDB server has none."""
    pool_size: int = Field(5, ge=1, le=1000)
    """Connections to a database server that are kept open."""
    max_overflow: int = Field(10, ge=0, le=1000)
    """Connections that are opened besides when all of them are in use."""
    pool_recycle_seconds: Seconds = 1800
    """Age from which a connection is not used again."""
    pool_pre_ping: bool = True
    """Whether a connection is tried before it is used."""
    mongo_min_pool_size: int = Field(2, ge=0, le=1000)
    """Connections to a MongoDB server that are kept open, unless its address says minPoolSize."""
    mongo_max_pool_size: int = Field(10, ge=1, le=1000)
    """Most connections to a MongoDB server, unless its address says maxPoolSize."""

    @field_validator("url")
    @classmethod
    def _known(cls, url: SecretStr) -> SecretStr:
        given = url.get_secret_value()
        kind, rest = kind_of(given), given.partition("://")[2]
        named = rest.strip(":/") not in ("", "memory") if kind == "sqlite" else bool(rest.partition("/")[2])
        named = named or (kind == "mongodb" and bool(rest))  # the name may stand beside it, or be ours
        if given and not (kind and named):
            raise ValueError(WRONG)
        return url

    @property
    def database(self) -> str:
        """Address of the database."""
        return self.url.get_secret_value() or f"{SQLITE}{self.data_dir / 'metadata.db'}"

    @property
    def kind(self) -> str:
        """Kind of the store."""
        return kind_of(self.database)


def kind_of(url: str) -> str:
    """The kind of store that an address is of, whichever driver it names; empty when there is none."""
    return KINDS.get(url.partition("://")[0].partition("+")[0].lower(), "")
