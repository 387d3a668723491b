"""Packages a trained model as a zip that runs on its own."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from services.training.domain.model import LeaderboardEntry
from services.training.workloads.images.card import write_card
from services.training.workloads.images.case import Case
from services.training.workloads.images.measuring import Measured
from services.training.workloads.images.networks import Made
from services.training.workloads.kit import packaging
from services.training.workloads.kit.pictures import Unreadable

HERE = "services.training.workloads.images.templates"
PROGRAMS = {"load_model.py": HERE, "predict.py": HERE, "pictures.py": packaging.SHARED}
SKIPPED_SHOWN = 1000


@dataclass(frozen=True)
class Outcome:
    """What a training came to, and what it was got with."""

    measured: Measured
    leaderboard: list[LeaderboardEntry]
    library_versions: dict[str, str]
    unavailable: list[str]
    parameters: dict[str, Any]
    hyperparameters: dict[str, Any]
    unreadable: Unreadable
    dataset_sha256: str
    start_time: datetime


def write_package(case: Case, made: Made, outcome: Outcome, data: Path, work: Path, artifact: Path) -> None:
    """Write the package next to where it will be, then move it there whole."""
    package = work / "package"
    (package / "model").mkdir(parents=True)
    made.save(package / "model")
    packaging.copy_programs(package, PROGRAMS)
    manifest = _describe(case, made, outcome, data)
    packaging.write_package(package, manifest, write_card(manifest), artifact)


def _describe(case: Case, made: Made, outcome: Outcome, data: Path) -> dict[str, Any]:
    """The manifest, but for the files."""
    return {
        **packaging.opening_facts(case.asked.spec, outcome.library_versions),
        "engine": "torch",
        "best_model": made.name,
        "problem_type": str(case.problem_type),
        "target": "class",
        "classes": case.classes,
        "features": [],
        "image_size": made.description["image_size"],
        "dataset": _describe_data(case, outcome, data),
        "split": _describe_split(case),
        "score": {"name": case.score_name, "value": outcome.measured.score},
        "metrics": outcome.measured.metrics,
        "baseline": outcome.measured.baseline,
        "evaluation": outcome.measured.evaluation,
        "leaderboard": [asdict(entry) for entry in outcome.leaderboard],
        "parameters": outcome.parameters,
        "hyperparameters": outcome.hyperparameters,
        "unavailable": outcome.unavailable,
    }


def _describe_data(case: Case, outcome: Outcome, data: Path) -> dict[str, Any]:
    skipped = {str(path): trouble for path, trouble in list(outcome.unreadable.troubles.items())[:SKIPPED_SHOWN]}
    return {
        "id": case.asked.spec.dataset.dataset_id,
        "sha256": outcome.dataset_sha256,
        "size": data.stat().st_size,
        "images": len(case.images),
        "skipped": skipped,
        "skipped_count": len(outcome.unreadable.troubles),
    }


def _describe_split(case: Case) -> dict[str, Any]:
    parameters = case.parameters
    return {
        "method": "folders of the archive" if case.split_given else "random images of each class",
        "seed": parameters.seed,
        "test_fraction": None if case.split_given else parameters.test_fraction,
        "train_rows": len(case.parts.train),
        "validation_rows": len(case.parts.validation),
        "test_rows": len(case.parts.test),
    }
