"""Which database a registry opens: configuration files, connection strings, the environment, the template."""

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from modelyard import cli, embedded
from modelyard.registry import InvalidInput, RegistryError, connect, get_default_database
from modelyard.registry.config import TEMPLATE, Database, database_in, database_of, default_database
from modelyard.registry.opening import target_of
from services.metadata.adapters import mysql, postgres
from services.metadata.settings import MetadataSettings

VARIABLES = ("AI_DB_CONFIG", "AI_DB_BACKEND", "AI_DB_CONNECTION_STRING", "DATABASE_URL", "AI_DB_PASSWORD")
SECRET = "p@ss/w:rd"
QUOTED = "p%40ss%2Fw%3Ard"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def config(here: Path, text: str, name: str = "ai_db_config.yaml") -> Path:
    file = here / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("backend", "url"),
    [
        ("postgresql", f"postgresql://ada:{QUOTED}@db:5433/models"),
        ("postgres", f"postgresql://ada:{QUOTED}@db:5433/models"),
        ("mysql", f"mysql://ada:{QUOTED}@db:5433/models"),
        ("mariadb", f"mysql://ada:{QUOTED}@db:5433/models"),
        ("mongodb", f"mongodb://ada:{QUOTED}@db:5433/models"),
    ],
)
def test_an_address_is_built_from_its_parts(backend: str, url: str):
    """004.8"""
    made = database_of(backend, host="db", port=5433, database="models", user="ada", password=SECRET)

    assert made.url == url
    assert SECRET not in repr(made)
    assert QUOTED not in repr(made)


def test_parts_that_are_not_told_are_usual(here: Path):
    assert database_of("postgresql", database="models").url == "postgresql://localhost/models"
    assert database_of("postgresql", database="m", options={"sslmode": "require"}).url.endswith("/m?sslmode=require")
    assert database_of("postgresql", host="::1", database="m").url == "postgresql://[::1]/m"
    assert database_of().url == f"sqlite:///{here}/ai_models.db"


def test_pools_are_kept_as_told(here: Path):
    """004.3"""
    file = config(
        here, "backend: mysql\ndatabase: m\npool_size: 7\nmax_overflow: 2\npool_pre_ping: false\necho: true\n"
    )
    found = database_in(file)

    assert found.pool == {"pool_size": 7, "max_overflow": 2, "pool_pre_ping": False}
    assert found.echo


@pytest.mark.parametrize("given", ["backend: sqlite\npath: sub/m.db", "backend: sqlite\nsqlite:\n  db_path: sub/m.db"])
def test_a_sqlite_file_is_beside_its_configuration(here: Path, given: str, monkeypatch: pytest.MonkeyPatch):
    """004.8"""
    file = config(here, given, "conf/ai_db_config.yaml")
    monkeypatch.chdir("/")

    assert database_in(file).url == f"sqlite:///{here}/conf/sub/m.db"


def test_an_absolute_sqlite_path_stays(here: Path):
    assert database_of("sqlite", path="/data/m.db").url == "sqlite:////data/m.db"
    assert database_of("sqlite", connection_string="sqlite:////data/m.db").url == "sqlite:////data/m.db"
    assert database_of("sqlite", connection_string="sqlite:///m.db").url == f"sqlite:///{here}/m.db"
    assert database_of("sqlite", connection_string="m.db").url == f"sqlite:///{here}/m.db"


NESTED = {"backend": "postgresql", "database": {"host": "db", "database": "models"}, "pool_size": 3}
SECTIONS = {"backend": "postgresql", "sqlite": {"path": "x"}, "postgresql": {"host": "db", "database": "models"}}


@pytest.mark.parametrize("told", [NESTED, SECTIONS])
@pytest.mark.parametrize("form", ["yaml", "yml", "json"])
def test_parts_may_be_in_sections(here: Path, told: dict[str, object], form: str):
    text = json.dumps(told) if form == "json" else yaml.safe_dump(told)

    assert database_in(config(here, text, f"c.{form}")).url == "postgresql://db/models"


def test_passwords_come_from_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch):
    """004.12"""
    monkeypatch.setenv("SECRET_OF_MINE", SECRET)
    parts = config(here, "backend: mysql\ndatabase: m\nuser: ada\npassword: ${SECRET_OF_MINE}\n")
    whole = config(here, "connection_string: postgresql://ada:${SECRET_OF_MINE}@db/m\n", "whole.yaml")
    monkeypatch.setenv("ADDRESS", "postgresql://ada:plain@db/m")
    address = config(here, "connection_string: ${ADDRESS}\n", "address.yaml")

    assert database_in(parts).url == f"mysql://ada:{QUOTED}@localhost/m"
    assert database_in(whole).url == f"postgresql://ada:{QUOTED}@db/m"
    assert database_in(address).url == "postgresql://ada:plain@db/m"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backend: oracle\n", "The backend 'oracle' is not known"),
        ("backend: mysql\nconnection_string: postgresql://db/m\n", "Name the same twice"),
        ("backend: mysql\n", "name of the mysql database is not told"),
        ("backend: mysql\ndatabase: m\npolo_size: 3\n", "polo_size, which is not known"),
        ("backend: postgresql\nconnection_string: db\n", "has no ://"),
        ("password: ${NOWHERE}\n", "NOWHERE, which is not set"),
        ("postgresql: db\nbackend: postgresql\n", "postgresql is no section"),
        ("- a\n", "tells nothing"),
        ("", "tells nothing"),
        ("a: [s3cret\n", "is neither YAML nor JSON: see line 2"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why(here: Path, text: str, says: str):
    with pytest.raises(InvalidInput) as wrong:
        database_in(config(here, text))

    assert says in str(wrong.value)
    assert "s3cret" not in str(wrong.value)


def test_a_configuration_that_is_not_there_says_so(here: Path):
    with pytest.raises(InvalidInput, match="There is no configuration file"):
        database_in(here / "nothing.yaml")


def test_the_default_is_a_file_then_the_environment_then_sqlite(here: Path, monkeypatch: pytest.MonkeyPatch):
    """004.8"""
    last = default_database().url
    monkeypatch.setenv("AI_DB_BACKEND", "sqlite")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///env.db")
    by_url = default_database().url
    monkeypatch.setenv("AI_DB_CONNECTION_STRING", "sqlite:///own.db")
    by_string = default_database().url
    found = []
    for name in ("ai_db_config.json", "ai_db_config.yml", "ai_db_config.yaml"):
        config(here, json.dumps({"path": f"{name}.db"}), name)
        found.append(default_database().url)
    config(here, "path: chosen.db", "elsewhere/c.yaml")
    monkeypatch.setenv("AI_DB_CONFIG", "elsewhere/c.yaml")

    assert [last, by_url, by_string] == [f"sqlite:///{here}/{name}.db" for name in ("ai_models", "env", "own")]
    assert [url.rpartition("ai_db_config.")[2] for url in found] == ["json.db", "yml.db", "yaml.db"]
    assert default_database().url == f"sqlite:///{here}/elsewhere/chosen.db"


def test_the_default_registry_opens(here: Path):
    with get_default_database() as registry:
        made = registry.create_model("ViT")
    with connect() as again:
        found = again.get_model("ViT")

    assert made == found["id"] == 1
    assert (here / "ai_models.db").exists()


def examples() -> list[str]:
    """What the template has: its own, and each one that is commented out."""
    text = TEMPLATE.read_text()
    commented = re.findall(r"^#\n((?:# .*\n)+)", text, re.MULTILINE)
    found = [re.sub(r"^# ", "", block, flags=re.MULTILINE) for block in commented]
    return [text, *(block for block in found if block.startswith("backend:"))]


def test_the_template_loads_and_each_of_its_examples(here: Path, monkeypatch: pytest.MonkeyPatch):
    """004.9"""
    monkeypatch.setenv("AI_DB_PASSWORD", SECRET)
    loaded = [database_in(config(here, text)) for text in examples()]

    assert [each.url for each in loaded] == [
        f"sqlite:///{here}/ai_models.db",
        f"postgresql://postgres:{QUOTED}@localhost:5432/aimodels?sslmode=require",
        f"mysql://root:{QUOTED}@localhost:3306/aimodels",
        f"mongodb://modelyard:{QUOTED}@localhost:27017/aimodels?authSource=admin",
        f"postgresql://modelyard:{QUOTED}@db.example.com:5432/aimodels?sslmode=require",
    ]
    assert loaded[1].pool == {"pool_size": 5, "max_overflow": 10, "pool_pre_ping": True}
    assert all(MetadataSettings(url=each.url, _env_file=None).kind for each in loaded)


def test_the_command_line_prints_the_template():
    """004.9"""
    printed = CliRunner().invoke(cli.app, ["registry", "template"], catch_exceptions=False).output

    assert printed == TEMPLATE.read_text()


RDS = "postgresql://user:pass@mydb.abc123.us-east-1.rds.amazonaws.com:5432/aimodels"
AZURE = "postgresql://user@server:pass@server.postgres.database.azure.com:5432/aimodels?sslmode=require"
CLOUD_SQL = "postgresql://user:pass@/aimodels?host=/cloudsql/project:region:instance"
CLOUD_SQL_MYSQL = "mysql://user:pass@/aimodels?unix_socket=/cloudsql/project:region:instance"


def test_addresses_of_the_clouds_are_taken_as_they_are():
    """004.12"""
    made = [database_of("postgresql", connection_string=url).url for url in (RDS, AZURE, CLOUD_SQL)]
    rds, azure, cloud = map(postgres.server_of, made)
    sockets = [
        mysql.server_of(url).arguments["unix_socket"]
        for url in (CLOUD_SQL_MYSQL, CLOUD_SQL_MYSQL.replace("unix_socket", "host"))
    ]

    assert rds.url.host == "mydb.abc123.us-east-1.rds.amazonaws.com"
    assert (azure.url.username, azure.url.password) == ("user@server", "pass")
    assert azure.arguments["ssl"] == "require"
    assert cloud.arguments["host"] == "/cloudsql/project:region:instance"
    assert sockets == ["/cloudsql/project:region:instance"] * 2


@pytest.mark.parametrize("url", [RDS, AZURE, CLOUD_SQL, CLOUD_SQL_MYSQL, "mongodb+srv://user:pass@cluster.example/m"])
def test_what_is_shown_has_no_password(url: str):
    """004.12"""
    shown = [repr(target_of(url)), repr(Database(url)), target_of(url).shown]

    assert not [each for each in shown if "pass" in each]
    assert all("***" in each for each in shown)


@pytest.mark.parametrize("address", ["", "nothing", "http://user:s3cret@host", "oracle://db/x"])
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(InvalidInput, match="is no address of a registry") as refused:
        target_of(address)

    assert "s3cret" not in str(refused.value)


def test_a_missing_service_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, here: Path):
    def missing() -> None:
        raise embedded._not_installed(ImportError("no", name="sqlalchemy"))

    monkeypatch.setattr(embedded, "_service", missing)
    with pytest.raises(RegistryError, match=r"pip install 'modelyard\[metadata\]'.*sqlalchemy"):
        connect("sqlite:///x.db")


def test_a_setting_that_cannot_be_is_named(here: Path):
    with pytest.raises(RegistryError, match="pool_size"):
        connect("postgresql://localhost/m", pool_size=0)
