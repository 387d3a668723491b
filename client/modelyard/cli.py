"""The command line: `modelyard --help`."""

import itertools
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from modelyard import demo as demonstration
from modelyard import doctor as examination
from modelyard import yard
from modelyard.answers import write_predictions, written
from modelyard.client import Client
from modelyard.connection import Url, client_for, settings_for
from modelyard.display import fact, follow, line, moving, size, table
from modelyard.errors import ModelyardError
from modelyard.import_cli import imports
from modelyard.lock import FolderTaken
from modelyard.migrate_cli import migrate
from modelyard.registry_cli import demo as demo_registry
from modelyard.registry_cli import registry
from modelyard.storage_cli import storage

app = typer.Typer(
    name="modelyard",
    help="Data in, trained models out: stored, recorded, and never lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

demo = typer.Typer(name="demo", invoke_without_command=True, pretty_exceptions_enable=False)
demo.command("registry")(demo_registry)
app.add_typer(demo)
app.add_typer(imports)
app.add_typer(storage)
app.command()(migrate)
app.add_typer(registry)

Engine = Annotated[str, typer.Option(help="quick or autogluon.")]
TimeLimit = Annotated[int | None, typer.Option(min=1, help="Seconds that training may take.")]
JobId = Annotated[str, typer.Argument(help="Id of the job.")]

console = Console()


class Interrupted(Exception):
    """The user asked us to stop."""


def main() -> None:
    """Run the command line; what goes wrong is one sentence on standard error and a status of 1."""
    try:
        app()
    except (ModelyardError, yard.YardError, FolderTaken, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    line(Console(stderr=True), f"[red]{escape(message)}[/]")
    sys.exit(1)


def _say(text: str) -> None:
    # Threads that keep services alive say this: they go on though the disk is full that standard output goes to, or the
    # reader of its pipe left, whereupon Rich ends whoever prints.
    with suppress(OSError, SystemExit):
        line(console, escape(text))


@app.command()
def run() -> None:
    """Serve Modelyard on this machine until Ctrl-C."""
    settings, signals = settings_for(), SimpleQueue[int]()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.put(received))

    def waiting() -> None:
        with suppress(Empty):
            signals.get_nowait()
            raise Interrupted

    line(console, "Starting Modelyard")
    with (
        suppress(Interrupted),
        yard.serving(settings, _say, waiting=waiting) as mine,
    ):
        line(console, f"Modelyard is ready at [bold]{mine.url}[/]; its data is in {escape(yard.shown(mine.data_dir))}.")
        line(console, "Ctrl-C stops it.")
        signals.get()
        line(console, "Stopping")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait
    line(console, "Modelyard has stopped.")


@demo.callback()
def demo_training(
    context: typer.Context, engine: Engine = "quick", time_limit: TimeLimit = None, url: Url = ""
) -> None:
    """Train a real model on the data that ships with Modelyard, and show how to use it; or show the registry."""
    if context.invoked_subcommand is None:
        demonstration.run(console, settings_for(url), engine, time_limit)


@app.command()
def train(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, or zip of images.")],
    target: Annotated[str | None, typer.Option(help="Column to predict; the last one when absent.")] = None,
    engine: Annotated[str | None, typer.Option(help="quick or autogluon; Modelyard's choice when absent.")] = None,
    time_limit: TimeLimit = None,
    presets: Annotated[str | None, typer.Option(help="AutoGluon's presets, like medium_quality.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    task: Annotated[str | None, typer.Option(help="general_ml, image_classification or object_detection.")] = None,
    parameters: Annotated[str | None, typer.Option(help="More parameters of the workload, as JSON.")] = None,
    watch: Annotated[bool, typer.Option(help="Stay until it has ended.")] = True,
    url: Url = "",
) -> None:
    """Train a model on a table, or on a zip of images."""
    with client_for(url) as client:
        with moving(console, "uploading") as told:
            job = client.train(
                file, target=target, engine=engine, time_limit=time_limit, presets=presets, model_name=name, task=task,
                parameters=_document(parameters), told=told,
            )  # fmt: skip
        fact(console, "Job", job.id)
        if not watch:
            fact(console, "Follow", f"modelyard job {job.id}")
            return
        _follow(client, job.id)


def _document(text: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(text or "null")
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"--parameters is no JSON: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise typer.BadParameter("--parameters is no JSON object")
    return document


def _follow(client: Client, job_id: str) -> None:
    try:
        last = follow(console, client.watch(job_id))
    except KeyboardInterrupt:
        line(console, f"The job goes on. `modelyard job {job_id}` follows it, `modelyard cancel {job_id}` stops it.")
        raise typer.Exit(130) from None
    demonstration.report(console, demonstration.result_of(last))


@app.command()
def job(job_id: JobId, url: Url = "") -> None:
    """Follow a job until it has ended."""
    with client_for(url) as client:
        _follow(client, client.job(job_id).id)


@app.command()
def jobs(url: Url = "", most: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20) -> None:
    """List the newest jobs."""
    with client_for(url) as client:
        rows = [
            (one.id, one.status, f"{one.progress:.0f} %", "" if one.ended and not one.error else one.message)
            for one in itertools.islice(client.jobs(), most)
        ]
    if not rows:
        line(console, "There are no jobs yet. `modelyard train FILE` makes one.")
        return
    table(console, "ID", "STATUS", "PROGRESS", "MESSAGE", rows=rows)


@app.command()
def cancel(job_id: JobId, url: Url = "") -> None:
    """Stop a job."""
    with client_for(url) as client:
        stopped = client.cancel(job_id)
    line(console, f"Job {stopped.id} is {stopped.status}." if stopped.ended else f"Job {stopped.id} is being stopped.")


@app.command()
def models(url: Url = "") -> None:
    """List the models."""
    with client_for(url) as client:
        rows = [
            (model.id, model.name, model.version, model.target, model.engine, _score(model.score_name, model.score))
            for model in client.models()
        ]
    if not rows:
        line(console, "There are no models yet. `modelyard demo` makes one.")
        return
    table(console, "ID", "NAME", "VERSION", "TARGET", "ENGINE", "SCORE", rows=rows)


def _score(name: str, score: float | None) -> str:
    return "" if score is None else f"{name} {score:.4f}"


@app.command()
def datasets(url: Url = "") -> None:
    """List the datasets."""
    with client_for(url) as client:
        rows = [
            (one.id, one.name, one.row_count, one.column_count, size(one.file_size)) for one in client.list_datasets()
        ]
    if not rows:
        line(console, "There are no datasets yet. `modelyard train FILE` stores one.")
        return
    table(console, "ID", "NAME", "ROWS", "COLUMNS", "SIZE", rows=rows)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="Id of the model.")],
    to: Annotated[Path, typer.Option(help="File or folder to put it in.")] = Path(),
    url: Url = "",
) -> None:
    """Fetch a model as a zip that runs anywhere, checked against its checksum."""
    with client_for(url) as client, moving(console, "downloading") as told:
        saved = client.download(model, to, told)
    fact(console, "Saved", f"{saved} ({size(saved.stat().st_size)})")


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="Id of the model.")],
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV or Arrow file, or image.")
    ],
    to: Annotated[Path | None, typer.Option(help="CSV to write; standard output when absent.")] = None,
    version: Annotated[int, typer.Option(min=0, help="The newest that is ready when 0.")] = 0,
    url: Url = "",
) -> None:
    """Predict for every row of a table, or for an image, with a stored model."""
    with client_for(url) as client:
        found = client.predict(model, file, version=version)
    if to is None:
        write_predictions(found, sys.stdout)
        return
    with written(to) as out:
        write_predictions(found, out)
    fact(console, "Saved", f"{to} ({len(found.predictions):,} rows, by version {found.model_version})")


@app.command()
def doctor(url: Url = "") -> None:
    """Check this installation, and say what to do about what is wrong."""
    problems = 0
    for finding in examination.findings(settings_for(url)):
        mark = "[green]ok     [/]" if finding.ok else "[red]problem[/]"
        line(console, f"{mark}  {escape(finding.what)}{escape(f': {finding.todo}' if finding.todo else '')}")
        problems += not finding.ok
    if problems:
        raise typer.Exit(1)
