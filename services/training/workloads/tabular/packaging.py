"""Packages a trained model as a zip that runs on its own."""

import hashlib
import json
import os
import platform
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.resources import files
from math import isnan
from pathlib import Path
from typing import Any

from services.training.domain.model import LeaderboardEntry
from services.training.workloads.tabular.card import write_card
from services.training.workloads.tabular.case import Case
from services.training.workloads.tabular.engines.protocol import Fitted
from services.training.workloads.tabular.parameters import used

FORMAT_VERSION = 1
TEMPLATES = files("services.training.workloads.tabular.templates")
COPIED = ("load_model.py", "predict.py")
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """What a training came to: the metrics on the held-out rows, and what they were got with."""

    metrics: dict[str, float]
    score: float
    leaderboard: list[LeaderboardEntry]
    library_versions: dict[str, str]
    dataset_sha256: str
    start_time: datetime


def write_package(case: Case, fitted: Fitted, outcome: Outcome, data: Path, work: Path, artifact: Path) -> Path:
    """Write the package next to where it will be, then move it there whole."""
    package = work / "package"
    (package / "model").mkdir(parents=True)
    fitted.save(package / "model")
    for name in COPIED:
        (package / name).write_bytes(TEMPLATES.joinpath(name).read_bytes())
    manifest = _describe(case, fitted, outcome, data)
    (package / "requirements.txt").write_text(_require(outcome.library_versions), encoding="utf-8")
    (package / "README.md").write_text(write_card(manifest), encoding="utf-8")
    manifest["files"] = {name: _weigh(path) for name, path in _walk(package)}
    (package / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
    _zip(package, artifact)
    return artifact


def _describe(case: Case, fitted: Fitted, outcome: Outcome, data: Path) -> dict[str, Any]:
    """The manifest, but for the files."""
    return {
        "format_version": FORMAT_VERSION,
        "training_id": case.spec.training_id,
        "model_name": case.spec.model_name or case.spec.training_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": case.parameters.engine,
        "best_model": fitted.best_model,
        "problem_type": str(case.target.problem_type),
        "target": case.target.name,
        "classes": case.target.classes,
        "features": [feature.as_manifest() for feature in case.columns.features],
        "unused_columns": case.columns.unused,
        "table": asdict(case.table.format),
        "dataset": _describe_data(case, outcome, data),
        "split": {
            "method": "random rows" if case.is_regression else "random rows of each class",
            "seed": case.seed,
            "test_fraction": case.parameters.test_fraction,
            "train_rows": len(case.split.train),
            "test_rows": len(case.split.test),
        },
        "score": {"name": case.score_name, "value": outcome.score},
        "metrics": outcome.metrics,
        "baseline": baseline(case),
        "leaderboard": [_without_nan(asdict(entry)) for entry in outcome.leaderboard],
        "parameters": used(case.parameters),
        "hyperparameters": fitted.hyperparameters,
        "unavailable": fitted.unavailable,
        "python_version": platform.python_version(),
        "library_versions": outcome.library_versions,
    }


def _describe_data(case: Case, outcome: Outcome, data: Path) -> dict[str, Any]:
    frame = case.table.frame
    return {
        "id": case.spec.dataset.dataset_id,
        "sha256": outcome.dataset_sha256,
        "size": data.stat().st_size,
        "rows": len(frame),
        "columns": len(frame.columns),
        "rows_without_target": len(frame) - len(case.target.values),
    }


def baseline(case: Case) -> dict[str, Any]:
    """What answering the same for every row would reach on the held-out rows: what a model has to beat."""
    values = case.target.values.to_numpy()
    train, test = values[case.split.train], values[case.split.test]
    if case.is_regression:
        return {"answer": float(train.mean()), "rmse": float(((test - train.mean()) ** 2).mean() ** 0.5)}
    answer = case.target.values.iloc[case.split.train].mode().iloc[0]
    return {"answer": getattr(answer, "item", lambda: answer)(), "accuracy": float((test == answer).mean())}


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    # JSON has no NaN.
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in values.items()}


def _require(versions: dict[str, str]) -> str:
    """The exact versions, since a saved model need not load with any other. A build's own mark ("+cpu") is left out:
    package indexes do not have it."""
    lines = [f"# Python {platform.python_version()}"]
    lines += [f"{name}=={number.split('+')[0]}" for name, number in versions.items()]
    return "\n".join(lines) + "\n"


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files in a folder, by name, in one order everywhere."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    yield from sorted(paths.items())


def _weigh(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size": path.stat().st_size}


def _zip(folder: Path, artifact: Path) -> None:
    """Zip a folder; the file appears under its name only when it is whole and on disk."""
    partial = artifact.with_suffix(".partial")
    with partial.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in _walk(folder):
                _add(archive, name, path)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(artifact)


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo.from_file(path, name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, BLOCK_BYTES)
