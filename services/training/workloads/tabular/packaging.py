"""Packages a trained model as a zip that runs on its own."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from services.training.domain.model import LeaderboardEntry
from services.training.workloads.kit import packaging
from services.training.workloads.tabular.card import write_card
from services.training.workloads.tabular.case import Case
from services.training.workloads.tabular.engines.protocol import Fitted
from services.training.workloads.tabular.parameters import used

HERE = "services.training.workloads.tabular.templates"
PROGRAMS = {"load_model.py": HERE, "predict.py": HERE}


@dataclass(frozen=True)
class Outcome:
    """What a training came to: the metrics on the held-out rows, and what they were got with."""

    metrics: dict[str, float]
    score: float
    leaderboard: list[LeaderboardEntry]
    library_versions: dict[str, str]
    dataset_sha256: str
    start_time: datetime
    evaluation: dict[str, Any]


def write_package(case: Case, fitted: Fitted, outcome: Outcome, data: Path, work: Path, artifact: Path) -> Path:
    """Write the package next to where it will be, then move it there whole."""
    package = work / "package"
    (package / "model").mkdir(parents=True)
    fitted.save(package / "model")
    packaging.copy_programs(package, PROGRAMS)
    manifest = _describe(case, fitted, outcome, data)
    packaging.write_package(package, manifest, write_card(manifest), artifact)
    return artifact


def _describe(case: Case, fitted: Fitted, outcome: Outcome, data: Path) -> dict[str, Any]:
    """The manifest, but for the files."""
    return {
        **packaging.opening_facts(case.spec, outcome.library_versions),
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
        "leaderboard": packaging.without_nan([asdict(entry) for entry in outcome.leaderboard]),
        "parameters": used(case.parameters),
        "hyperparameters": fitted.hyperparameters,
        "unavailable": fitted.unavailable,
        "evaluation": outcome.evaluation,
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
