"""`modelyard registry` and `modelyard demo registry`: the registry from the command line."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from modelyard import registry_demo
from modelyard.display import line
from modelyard.errors import ModelyardError
from modelyard.registry import Registry
from modelyard.registry.config import TEMPLATE, Database, database_in, database_of, default_database
from modelyard.registry.connecting import find
from modelyard.registry.opening import target_of

registry = typer.Typer(
    name="registry",
    help="The registry of models that programs keep in a database of theirs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()
PASSWORD = "AI_DB_PASSWORD"  # noqa: S105 (its name)
ASKED = "-"


@registry.callback()
def _registry() -> None:
    """The registry of models that programs keep in a database of theirs."""


@registry.command()
def template() -> None:
    """Print a configuration file for every kind of database: modelyard registry template > ai_db_config.yaml."""
    typer.echo(TEMPLATE.read_text(), nl=False)


def demo(
    backend: Annotated[str, typer.Option(help="sqlite, postgresql, mysql or mongodb.")] = "",
    config: Annotated[Path | None, typer.Option(help="Configuration file, as `modelyard registry template`.")] = None,
    url: Annotated[str, typer.Option(help="Whole address of a database, or of a metadata service.")] = "",
    host: Annotated[str, typer.Option(help="Host of the database server.")] = "",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port.")] = None,
    database: Annotated[str, typer.Option(help="Name of the database; for SQLite, its file.")] = "",
    user: Annotated[str, typer.Option(help="User of the database.")] = "",
    password: Annotated[str, typer.Option(help=f"- asks for it; {PASSWORD} of the environment when absent.")] = "",
    echo: Annotated[bool, typer.Option("--echo", help="Write every SQL statement to standard error.")] = False,
) -> None:
    """Record an example of models, runs, metrics and predictions in a registry, and show what can be asked of it."""
    parts = {"host": host, "port": port, "database": database, "user": user}
    if (url and url.partition("://")[0] in ("grpc", "unix")) or url.startswith("unix:"):
        target = find(url)
    else:
        found = _database(backend, config, url, parts, password)
        target = target_of(found.url, pool=found.pool, echo=echo or found.echo)
        if target.echo and target.shown.startswith("mongodb"):
            line(Console(stderr=True), "MongoDB takes no SQL, so there are no statements to show.")
    with Registry(target, registry_demo.USER) as db:
        registry_demo.run(console, db)


def _database(backend: str, config: Path | None, url: str, parts: dict[str, Any], password: str) -> Database:
    told = {name: value for name, value in parts.items() if value}
    if config is not None:
        if backend or url or told:
            message = "With --config, the file tells all; leave out --backend, --url and the parts of an address."
            raise ModelyardError(0, "OPTIONS_CONTRADICT", message)
        return database_in(config)
    if url:
        return database_of(backend, connection_string=url)
    if not backend and not told:
        return default_database()
    secret = _secret(password) if told.get("user") else ""
    return database_of(backend, **told, password=secret)


def _secret(given: str) -> str:
    if given == ASKED:
        return str(typer.prompt("Password", hide_input=True, err=True))
    return given or os.environ.get(PASSWORD, "")
