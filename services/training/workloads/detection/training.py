"""Trains on images with boxes: read, learn, measure on the held-out images, package. The model measured is the
one packaged."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from services.training.domain.model import LeaderboardEntry, Metric, ProblemType, Stage, TrainingResult
from services.training.workloads.detection.canvas import Canvas
from services.training.workloads.detection.case import ENGINE, TARGET, Case
from services.training.workloads.detection.learning import Learned, Learner, evaluate
from services.training.workloads.detection.packaging import BEST_MODEL, Outcome, used, write_package
from services.training.workloads.detection.reading import Pictures, read_all
from services.training.workloads.kit.archive import opened
from services.training.workloads.kit.fingerprints import dataset_fingerprint, fingerprint
from services.training.workloads.kit.telling import Telling
from services.training.workloads.kit.torching import seeded


def train(case: Case, data: Path, folder: Path, telling: Telling, start_time: datetime) -> TrainingResult:
    """Train on an archive and write `folder / "artifact.zip"`; everything else in the folder is removed again."""
    dataset_sha256 = dataset_fingerprint(case.spec, data)
    work = folder / "work"
    work.mkdir(parents=True)
    pictures = _read(case, data, work, telling)
    telling.begin(Stage.TRAINING, f"Learning {_told_classes(case)} from {len(case.parts.train):,} images")
    with seeded(case.parameters.seed):
        learned = Learner(case, pictures, telling).learn()
    telling.begin(Stage.EVALUATING, f"Measuring on the held-out images: {len(case.parts.test):,}")
    measured, answers = evaluate(learned.detector, case, pictures, case.parts.test)
    outcome = Outcome(measured, answers, dataset_sha256, start_time)
    telling.begin(Stage.PACKAGING, "Packaging the model")
    artifact = write_package(case, learned, outcome, data, work, folder / "artifact.zip")
    shutil.rmtree(work)
    result = _result(case, learned, outcome, artifact)
    telling.finish(f"{BEST_MODEL}: {result.score_name} {result.score:.4g} on held-out images")
    return result


def _told_classes(case: Case) -> str:
    count = len(case.listing.classes)
    return f"{count} class{'' if count == 1 else 'es'}"


def _read(case: Case, data: Path, work: Path, telling: Telling) -> Pictures:
    telling.begin(Stage.PREPARING, f"Reading {len(case.listing.images):,} images")
    with opened(data) as archive:
        canvas = Canvas(case.width, case.height, case.stride)
        return read_all(archive, case.listing.images, canvas, work, telling)


def _result(case: Case, learned: Learned, outcome: Outcome, artifact: Path) -> TrainingResult:
    end_time = datetime.now(UTC)
    name, metrics = case.parameters.eval_metric, outcome.measured.metrics
    validation = learned.validation.get(name, float("nan"))
    return TrainingResult(
        training_id=case.spec.training_id,
        engine=ENGINE,
        best_model=BEST_MODEL,
        target=TARGET,
        problem_type=ProblemType.OBJECT_DETECTION,
        score_name=name,
        score=metrics[name],
        metrics=[Metric(each, value, measure_time=end_time) for each, value in metrics.items()],
        train_row_count=len(case.parts.train) + len(case.parts.validation),
        test_row_count=len(case.parts.test),
        features=[],
        leaderboard=[LeaderboardEntry(BEST_MODEL, validation, metrics[name], learned.seconds)],
        unavailable=[],
        parameters=used(case, learned),
        library_versions=outcome.library_versions,
        artifact_size=artifact.stat().st_size,
        artifact_sha256=fingerprint(artifact),
        dataset_sha256=outcome.dataset_sha256,
        start_time=outcome.start_time,
        end_time=end_time,
        evaluation=outcome.evaluation(case, learned),
    )
