"""What the metadata service may be told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.metadata.adapters.mongodb.store import connect
from services.metadata.adapters.pooled import Pool, engine_of
from services.metadata.adapters.postgres import server_of
from services.metadata.bootstrap import OPENERS, pool_of
from services.metadata.settings import MetadataSettings


def test_database_is_a_file_in_the_data_folder(tmp_path: Path):
    settings = MetadataSettings(data_dir=tmp_path)

    assert settings.database == f"sqlite:///{tmp_path}/metadata.db"
    assert settings.kind == "sqlite"
    assert settings.bind == "127.0.0.1:50052"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("sqlite+aiosqlite:////tmp/x.db", "sqlite"),
        ("postgresql://ada:pw@host/db", "postgresql"),
        ("postgres://host/db?sslmode=require", "postgresql"),
        ("postgresql+psycopg2://ada@host:5433/db", "postgresql"),
        ("mysql+pymysql://ada:pw@host:3307/db", "mysql"),
        ("MariaDB://host/db", "mysql"),
        ("mongodb://ada:pw@one:27017,two:27017/db?replicaSet=rs0", "mongodb"),
        ("mongodb://localhost:27017", "mongodb"),
        ("mongodb+srv://ada:pw@cluster.example.net/?retryWrites=true", "mongodb"),
    ],
)
def test_database_is_named_as_people_write_it(url: str, kind: str):
    assert MetadataSettings(url=url).kind == kind
    assert kind in OPENERS


@pytest.mark.parametrize(
    "url",
    ["oracle://host/db", "x.db", "sqlite:///", "sqlite://", "sqlite+aiosqlite:///:memory:", "mysql://ada:s3cret@host"],
)
def test_what_names_no_database_is_refused_without_being_repeated(url: str):
    with pytest.raises(ValidationError, match="the database is") as raised:
        MetadataSettings(url=url)

    assert "s3cret" not in str(raised.value)


def test_url_is_no_news_for_the_log():
    assert "secret" not in repr(MetadataSettings(url="sqlite:////tmp/secret.db"))


def test_database_url_stands_in_for_metadata_url(monkeypatch: pytest.MonkeyPatch):
    """003.1, 004.8"""
    monkeypatch.setenv("DATABASE_URL", "postgres://one/db")
    alone = MetadataSettings(_env_file=None)
    monkeypatch.setenv("METADATA_URL", "mysql://two/db")
    both = MetadataSettings(_env_file=None)

    assert alone.database == "postgres://one/db"
    assert both.database == "mysql://two/db"


@pytest.mark.parametrize("name", ["MONGODB_URI", "MONGO_URI"])
def test_mongodb_is_named_as_its_users_name_it(name: str, monkeypatch: pytest.MonkeyPatch):
    """000.17, 001.14, 003.1"""
    monkeypatch.setenv(name, "mongodb://localhost:27017")
    monkeypatch.setenv("MONGO_DB_NAME", "eventplanner")
    settings = MetadataSettings(_env_file=None)

    assert settings.kind == "mongodb"
    assert settings.database == "mongodb://localhost:27017"
    assert settings.mongo_db_name == "eventplanner"
    assert (settings.mongo_min_pool_size, settings.mongo_max_pool_size) == (2, 10)


def test_database_url_goes_before_mongodb_uri(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONGODB_URI", "mongodb://localhost/one")
    monkeypatch.setenv("DATABASE_URL", "postgres://localhost/two")

    assert MetadataSettings(_env_file=None).kind == "postgresql"


def test_pool_of_mongodb_is_that_of_the_settings_unless_the_address_says_another():
    """003.1"""
    told = connect("mongodb://localhost", (3, 7)).delegate.options.pool_options
    said = connect("mongodb://localhost/?maxPoolSize=5&minPoolSize=1", (3, 7)).delegate.options.pool_options

    assert (told.min_pool_size, told.max_pool_size) == (3, 7)
    assert (said.min_pool_size, said.max_pool_size) == (1, 5)


def test_pool_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    """004.3"""
    usual = pool_of(MetadataSettings(_env_file=None))
    for name, value in {"SIZE": "7", "RECYCLE_SECONDS": "60", "PRE_PING": "false"}.items():
        monkeypatch.setenv(f"METADATA_POOL_{name}", value)
    monkeypatch.setenv("METADATA_MAX_OVERFLOW", "3")
    engine = engine_of(server_of("postgres://host/db"), pool_of(MetadataSettings(_env_file=None)))
    pool = engine.sync_engine.pool

    assert usual == Pool(size=5, overflow=10, recycle_seconds=1800, pre_ping=True)
    assert (pool.size(), pool._max_overflow, pool._recycle, pool._pre_ping) == (7, 3, 60, False)
