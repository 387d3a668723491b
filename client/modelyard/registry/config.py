"""Which database: told by parts, by a configuration file, or by the environment."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelyard.registry.opening import DATABASES, SQLITE, shown
from modelyard.registry.problems import InvalidInput

CONFIG_FILES = ("ai_db_config.yaml", "ai_db_config.yml", "ai_db_config.json")
DEFAULT_FILE = "ai_models.db"
TEMPLATE = Path(__file__).with_name("ai_db_config.yaml.template")
SAME = {"postgres": "postgresql", "mariadb": "mysql"}
"""Backends that go by two names."""
BACKENDS = ("sqlite", "postgresql", "mysql", "mongodb")
POOL = ("pool_size", "max_overflow", "pool_pre_ping")
PARTS = ("connection_string", "path", "host", "port", "database", "user", "password", "options")
OTHER_NAMES = {"db_path": "path", "username": "user", "url": "connection_string", "query": "options"}
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class RegistrySettings(BaseSettings):
    """Where the default registry is, when no configuration file lies in the working directory."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    config: str = Field("", validation_alias="AI_DB_CONFIG")
    """Configuration file, in place of one in the working directory."""
    backend: str = Field("", validation_alias="AI_DB_BACKEND")
    """Kind of database: sqlite, postgresql, mysql or mongodb."""
    connection_string: SecretStr = Field(
        SecretStr(""), validation_alias=AliasChoices("AI_DB_CONNECTION_STRING", "DATABASE_URL")
    )
    """Address of the database."""


class ConfigWrong(InvalidInput):
    """A configuration that cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "CONFIG_WRONG", message)


@dataclass(frozen=True)
class Database:
    """A database, as it was told."""

    url: str = field(repr=False)
    pool: Mapping[str, Any] = field(default_factory=dict)
    echo: bool = False

    def __repr__(self) -> str:
        return f"Database({shown(self.url)!r}, pool={dict(self.pool)!r}, echo={self.echo!r})"


def database_of(backend: str = "", folder: Path | None = None, **parts: Any) -> Database:
    """A database by its parts: a connection string, or path, or host, port, database, user, password and options.

    A relative path of SQLite is in `folder`, or in the working directory. ConfigWrong for what does not fit together.
    """
    told = {OTHER_NAMES.get(name, name): value for name, value in parts.items() if value not in (None, "")}
    _check_names(told, (*PARTS, *POOL, "echo"))
    kind = _kind(backend, str(told.get("connection_string", "")))
    pool = {name: told[name] for name in POOL if name in told and kind not in ("sqlite", "mongodb")}
    return Database(_url(kind, told, folder), pool, bool(told.get("echo", False)))


def _check_names(told: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in told:
        if name not in known:
            raise ConfigWrong(f"The database is told {name}, which is not known. It may be told {', '.join(known)}.")


def _kind(backend: str, connection_string: str) -> str:
    """The kind of a database, by its name and its address, which must not contradict each other."""
    scheme = connection_string.partition("://")[0].partition("+")[0].lower() if "://" in connection_string else ""
    given, meant = (SAME.get(each, each) for each in (backend.lower(), scheme))
    kind = given or meant or "sqlite"
    if kind not in BACKENDS:
        raise ConfigWrong(f"The backend {backend or scheme!r} is not known. Take one of: {', '.join(BACKENDS)}.")
    if meant and meant != kind:
        raise ConfigWrong(f"The backend is {backend}, and the connection string that of {scheme}. Name the same twice.")
    return kind


def _url(kind: str, told: Mapping[str, Any], folder: Path | None) -> str:
    given = str(told.get("connection_string", ""))
    if kind == "sqlite":
        plain = given.partition(":///")[2] if "://" in given else given
        path = Path(str(plain or told.get("path") or told.get("database") or DEFAULT_FILE)).expanduser()
        return f"{SQLITE}{(folder or Path.cwd()) / path}"
    if given:
        if "://" not in given:
            raise ConfigWrong(f"The connection string of {kind} has no ://. It looks like {kind}://user@host/database.")
        return given
    return _server_url(kind, told)


def _server_url(kind: str, told: Mapping[str, Any]) -> str:
    if "database" not in told:
        raise ConfigWrong(f"The name of the {kind} database is not told. Give it as database.")
    user = quote(str(told.get("user", "")), safe="")
    password = f":{quote(str(told['password']), safe='')}" if "password" in told else ""
    host = str(told.get("host", "localhost"))
    place = f"[{host}]" if ":" in host else host
    port = f":{told['port']}" if "port" in told else ""
    options = f"?{urlencode(told['options'])}" if told.get("options") else ""
    access = f"{user}{password}@" if user else ""
    return f"{kind}://{access}{place}{port}/{quote(str(told['database']), safe='')}{options}"


def database_in(path: str | Path) -> Database:
    """The database that a configuration file tells of, in YAML or JSON. ConfigWrong when it cannot be read or used."""
    file = Path(path).expanduser()
    told = _with_variables(_read(file), file)
    section = told.pop("database", None)
    if isinstance(section, Mapping):
        told |= section
    elif section is not None:
        told["database"] = section
    backend = str(told.pop("backend", ""))
    sections = {name: told.pop(name) or {} for name in DATABASES if name in told}
    kind = _kind(backend, str(told.get("connection_string", "")))
    chosen = sections.get(backend) or sections.get(kind) or {}
    _check_sections(file, sections)
    return database_of(backend, file.absolute().parent, **told, **chosen)


def _check_sections(file: Path, sections: Mapping[str, Any]) -> None:
    for name, section in sections.items():
        if not isinstance(section, Mapping):
            raise ConfigWrong(f"{file}: {name} is no section. Write its parts below it, each with a colon.")


def _read(file: Path) -> dict[str, Any]:
    import yaml  # here, because most programs have no such file

    try:
        text = file.read_text(encoding="utf-8")
        told = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise ConfigWrong(f"There is no configuration file {file}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigWrong(f"The configuration file {file} cannot be read: {error}.") from error
    except (json.JSONDecodeError, yaml.YAMLError) as error:  # whose text may quote a password
        raise ConfigWrong(f"The configuration file {file} is neither YAML nor JSON{_place(error)}.") from None
    if not isinstance(told, dict):
        raise ConfigWrong(f"The configuration file {file} tells nothing. Begin with the line backend: sqlite.")
    return {str(name): value for name, value in told.items()}


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else getattr(error, "lineno", 0)
    return f": see line {line}" if line else ""


def _with_variables(told: Any, file: Path) -> Any:
    """What was told, with ${NAME} replaced by the variables of the environment."""
    if isinstance(told, dict):
        return {name: _with_variables(value, file) for name, value in told.items()}
    if not isinstance(told, str):
        return told
    whole = VARIABLE.fullmatch(told)
    in_address = "://" in told  # where some characters have a meaning
    return VARIABLE.sub(lambda found: _variable(found[1], file, in_address and not whole), told)


def _variable(name: str, file: Path, quoted: bool) -> str:
    if name not in os.environ:
        raise ConfigWrong(f"{file} names the variable {name}, which is not set. Set it, or write the value itself.")
    return quote(os.environ[name], safe="") if quoted else os.environ[name]


def default_database() -> Database:
    """The database that nobody named: of a configuration file, else of the environment, else the file ai_models.db.

    The file is the one that AI_DB_CONFIG names, or the first of `CONFIG_FILES` in the working directory.
    """
    settings = RegistrySettings()
    if settings.config:
        return database_in(settings.config)
    for name in CONFIG_FILES:
        if Path(name).is_file():
            return database_in(name)
    return database_of(settings.backend, connection_string=settings.connection_string.get_secret_value())
