"""The main job, shown: a CSV in, a trained model stored and recorded."""

import shlex
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from modelyard import yard
from modelyard.client import Client
from modelyard.display import fact, follow, line, size
from modelyard.errors import ModelyardError
from modelyard.lock import FolderTaken
from modelyard.records import Event, TrainingResult
from modelyard.settings import ClientSettings

SAMPLE = Path(__file__).parent / "samples" / "penguins.csv"
TARGET = "species"


def run(console: Console, settings: ClientSettings, engine: str, time_limit: int | None) -> None:
    """Train on the sample, and say what came of it. Starts a Modelyard for the time of it where none runs."""
    with _some_yard(console, settings) as url, Client(url, settings.api_key.get_secret_value()) as client:
        line(console, f"Training on {yard.shown(SAMPLE)} to predict [bold]{TARGET}[/]")
        job = client.train(SAMPLE, target=TARGET, engine=engine, time_limit=time_limit, model_name=SAMPLE.stem)
        result = result_of(follow(console, client.watch(job.id)))
        zipped = client.download(result.model_id, settings.kept_in / "demo" / f"{SAMPLE.stem}.zip")
    report(console, result)
    _tell_next(console, _unpacked(zipped))


@contextmanager
def _some_yard(console: Console, settings: ClientSettings) -> Iterator[str]:
    if url := yard.running_url(settings):
        line(console, f"Using the Modelyard that runs at {url}")
        yield url
        return
    if settings.url:
        message = f"No Modelyard answers at {settings.url}, which MODELYARD_URL or --url names."
        raise ModelyardError(0, "UNREACHABLE", message)
    folder, logs = settings.kept_in, settings.kept_in / "logs"
    line(console, f"Starting Modelyard for this demo; data in {yard.shown(folder)}, logs in {yard.shown(logs)}")
    try:
        with yard.serving(settings, lambda text: line(console, escape(text)), free_ports=True, log_dir=logs) as mine:
            yield mine.url
    except FolderTaken as taken:
        message = f"{taken} It does not answer yet: try again in a moment."
        raise yard.YardError(message) from taken


def result_of(event: Event) -> TrainingResult:
    """What a job that ended well gave; raises ModelyardError with the job's own words when it did not."""
    if event.result is not None:
        return event.result
    if event.error is not None:
        raise ModelyardError(0, event.error.code, event.error.message, event.error.retryable)
    raise ModelyardError(0, event.status.upper(), event.message or f"The job ended as {event.status}.")


def report(console: Console, result: TrainingResult) -> None:
    """Say what was trained, how good it is and where it is kept."""
    rows, kept = result.row_counts, result.storage
    score = "no score" if result.score is None else f"{result.score_name} {result.score:.4f}"
    fact(
        console, "Trained", f"{result.best_model} ({result.engine} engine) predicts {result.target}, {result.task_type}"
    )
    fact(console, "Score", f"{score} on {rows.test} held-out rows, after training on {rows.train}")
    fact(console, "Stored", f"{kept.backend} backend, {kept.uri} ({size(kept.size)})")
    fact(console, "Recorded", f"model {result.model_id}, version {result.version}, of dataset {result.dataset_id}")
    if result.unavailable:
        fact(console, "Left out", f"{', '.join(result.unavailable)}: not installed where it was trained")


def _unpacked(zipped: Path) -> Path:
    folder = zipped.with_suffix("")
    if folder.exists():  # of an earlier version
        shutil.rmtree(folder)
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(folder)
    return folder


def _tell_next(console: Console, folder: Path) -> None:
    python = yard.shown(Path(sys.executable))
    predict = next(folder.rglob("predict.py"))
    command = shlex.join([python, yard.shown(predict), yard.shown(SAMPLE)])
    fact(console, "Predict", command)
    fact(console, "List", f"{yard.shown(Path(sys.argv[0]).absolute())} models, while Modelyard runs (modelyard run)")
