"""`modelyard import`: datasets from elsewhere."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelyard.connection import Url, client_for
from modelyard.display import fact, moving, size
from modelyard.errors import ModelyardError
from modelyard.records import Dataset

imports = typer.Typer(
    name="import",
    help="Have Modelyard bring a dataset from Kaggle, or from an address on a host that it lists.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()

Name = Annotated[str | None, typer.Option(help="Name of the dataset; that of its file when absent.")]
Target = Annotated[str | None, typer.Option(help="Column that is usually predicted.")]


@imports.command("kaggle")
def from_kaggle(
    dataset: Annotated[str, typer.Argument(help="owner/name, as in its address.")],
    file: Annotated[str | None, typer.Option(help="Which of several files; * for all as one zip.")] = None,
    version: Annotated[int, typer.Option(min=0, help="The newest when 0.")] = 0,
    name: Name = None,
    target: Target = None,
    url: Url = "",
) -> None:
    """Bring a dataset from Kaggle, with your credentials where Kaggle's own tool would find them.

    These are KAGGLE_API_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY, or the file kaggle.json; without any, Modelyard's own.
    """
    with client_for(url) as client, moving(console, "importing"):
        found = client.import_dataset(
            kaggle=dataset, file=file, version=version, credentials=credentials(), name=name, target=target
        )
    _report(found)


@imports.command("url")
def from_url(
    address: Annotated[str, typer.Argument(help="https address of the file.")],
    name: Name = None,
    target: Target = None,
    url: Url = "",
) -> None:
    """Bring a file from an address."""
    with client_for(url) as client, moving(console, "importing"):
        found = client.import_dataset(url=address, name=name, target=target)
    _report(found)


def credentials() -> dict[str, str] | None:
    """Kaggle's credentials as its own tool finds them: in the environment, or in kaggle.json; None where there are
    none. Raises ModelyardError and OSError for a file that cannot be read."""
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        return {"token": token}
    if (username := os.environ.get("KAGGLE_USERNAME")) and (key := os.environ.get("KAGGLE_KEY")):
        return {"username": username, "key": key}
    for folder in (os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle"), "~/.config/kaggle"):
        file = Path(folder).expanduser() / "kaggle.json"
        if file.is_file():
            return _kept_in(file)
    return None


def _kept_in(file: Path) -> dict[str, str]:
    try:
        kept = json.loads(file.read_text())
        return {"username": str(kept["username"]), "key": str(kept["key"])}
    except (ValueError, KeyError, TypeError) as error:
        message = f"{file} is not as Kaggle makes it. Download it again from kaggle.com/settings."
        raise ModelyardError(0, "BAD_CREDENTIALS_FILE", message) from error


def _report(dataset: Dataset) -> None:
    fact(console, "Dataset", dataset.id)
    rows = f"{dataset.row_count:,} rows of {dataset.column_count} columns, " if dataset.row_count else ""
    fact(console, "Stored", f"{dataset.file_name} ({rows}{size(dataset.file_size)})")
    fact(console, "From", dataset.uri)
