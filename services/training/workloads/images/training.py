"""Trains on images: settle, read, fit, measure on the held-out images, package. The model measured is the one
packaged."""

import shutil
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from services.training.domain.model import LeaderboardEntry, Metric, Stage, TrainingResult, TrainingSpec
from services.training.domain.ports import Reporter
from services.training.workloads.images.case import TARGET, Asked, Case, choose_side, settle, settle_request
from services.training.workloads.images.fitting import Fit, chances_of
from services.training.workloads.images.layout import check_classes, find_images
from services.training.workloads.images.measuring import Measured, measure_answers, measure_rows
from services.training.workloads.images.networks import Made, make_from, make_small
from services.training.workloads.images.packaging import Outcome, write_package
from services.training.workloads.images.pixels import read_all
from services.training.workloads.kit.archive import opened
from services.training.workloads.kit.fingerprints import dataset_fingerprint, fingerprint
from services.training.workloads.kit.metrics import as_score
from services.training.workloads.kit.pictures import Unreadable
from services.training.workloads.kit.pixels import Pixels
from services.training.workloads.kit.telling import Telling
from services.training.workloads.kit.torching import seeded

DISTRIBUTIONS = ("numpy", "pillow", "safetensors", "torch")
TELL_EVERY = 500


def train(spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
    """Train on a zip of images and write `folder / "artifact.zip"`; everything else in the folder is removed again."""
    start_time = datetime.now(UTC)
    telling = Telling(report)
    telling.begin(Stage.PREPARING, "Looking through the archive")
    asked = settle_request(spec)
    dataset_sha256 = dataset_fingerprint(spec, data)
    work = folder / "work"
    work.mkdir(parents=True)
    case, pixels, unreadable = _read(asked, data, work, telling)
    with seeded(asked.parameters.seed):
        made = _make(asked, case, pixels.shape[-1])
        telling.begin(Stage.TRAINING, f"Learning {len(case.classes):,} classes from {len(case.parts.train):,} images")
        began = time.monotonic()
        fit = Fit(case, made, pixels, telling)
        curve = fit.run()
        seconds = time.monotonic() - began
    telling.begin(Stage.EVALUATING, f"Measuring on the held-out images: {len(case.parts.test):,}")
    made.network.cpu()  # where the package will run
    measured = measure_answers(case, curve, chances_of(fit.model, pixels, case.parts.test))
    outcome = Outcome(
        measured=measured,
        leaderboard=[_entry(case, made, fit, pixels, measured, seconds)],
        library_versions=_versions(asked),
        unavailable=[] if torch.cuda.is_available() else ["gpu"],
        parameters=_used(case, made),
        hyperparameters=_hyperparameters(made, fit, asked),
        unreadable=unreadable,
        dataset_sha256=dataset_sha256,
        start_time=start_time,
    )
    telling.begin(Stage.PACKAGING, "Packaging the model")
    write_package(case, made, outcome, data, work, folder / "artifact.zip")
    shutil.rmtree(work)
    telling.finish(f"{made.name}: {case.score_name} {measured.metrics[case.score_name]:.4g} on held-out images")
    return _result(case, made, outcome, folder / "artifact.zip")


def _read(asked: Asked, data: Path, work: Path, telling: Telling) -> tuple[Case, Pixels, Unreadable]:
    """Read all images, and settle what is learned from those that can be read."""
    with opened(data) as archive:
        images = find_images(archive)
        check_classes(images)
        side = choose_side(asked, archive, images)

        def tell(done: int) -> None:
            if done % TELL_EVERY == 0:
                telling.begin(Stage.PREPARING, f"Read {done:,} of {len(images):,} images")

        pixels, unreadable = read_all(archive, images, side, work, torch.get_num_threads(), tell)
    return settle(asked, images, unreadable), pixels, unreadable


def _make(asked: Asked, case: Case, side: int) -> Made:
    if asked.backbone is None:
        return make_small(len(case.classes), side)
    return make_from(asked.backbone, len(case.classes), side, asked.parameters.freeze_backbone)


def _entry(case: Case, made: Made, fit: Fit, pixels: Pixels, measured: Measured, seconds: float) -> LeaderboardEntry:
    """The one model that was tried. The images that settled when to stop need not define the metric of its score."""
    rows, name = case.parts.validation, case.score_name
    validated = measure_rows(case, rows, chances_of(fit.model, pixels, rows), only=[name])
    score = as_score(name, validated[name]) if name in validated else float("nan")
    return LeaderboardEntry(made.name, score, measured.score, seconds)


def _versions(asked: Asked) -> dict[str, str]:
    needed = [*DISTRIBUTIONS, "transformers"] if asked.backbone else DISTRIBUTIONS
    return {name: version(name) for name in needed}


def _used(case: Case, made: Made) -> dict[str, Any]:
    """The parameters that had a say, with what was settled for those that were left open."""
    values = case.parameters.model_dump(exclude_none=True) | {
        "epochs": case.epochs,
        "batch_size": case.batch_size,
        "patience": case.patience,
        "image_size": made.description["image_size"],
        "learning_rate": case.parameters.learning_rate or made.learning_rate,
    }
    idle = {"freeze_backbone", "backbone"} if case.asked.backbone is None else set()
    idle |= {"test_fraction"} if case.split_given else set()
    return {name: value for name, value in values.items() if name not in idle}


def _hyperparameters(made: Made, fit: Fit, asked: Asked) -> dict[str, Any]:
    return {
        **made.description,
        "device": fit.device.type,
        "precision": fit.precision.name,
        "weights": sum(weight.numel() for weight in made.network.parameters()),
        "backbone": asked.backbone.name if asked.backbone else "",
    }


def _result(case: Case, made: Made, outcome: Outcome, artifact: Path) -> TrainingResult:
    end_time = datetime.now(UTC)
    return TrainingResult(
        training_id=case.asked.spec.training_id,
        engine="torch",
        best_model=made.name,
        target=TARGET,
        problem_type=case.problem_type,
        score_name=case.score_name,
        score=outcome.measured.score,
        metrics=[Metric(name, value, measure_time=end_time) for name, value in outcome.measured.metrics.items()],
        train_row_count=len(case.parts.train) + len(case.parts.validation),
        test_row_count=len(case.parts.test),
        features=[],
        leaderboard=outcome.leaderboard,
        unavailable=outcome.unavailable,
        parameters=outcome.parameters,
        library_versions=outcome.library_versions,
        artifact_size=artifact.stat().st_size,
        artifact_sha256=fingerprint(artifact),
        dataset_sha256=outcome.dataset_sha256,
        start_time=outcome.start_time,
        end_time=end_time,
        evaluation=outcome.measured.evaluation,
    )
