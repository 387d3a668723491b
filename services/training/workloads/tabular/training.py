"""Trains on a table: settle, fit, measure on the held-out rows, package. The model measured is the one packaged."""

import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from services.training.domain.model import Metric, Stage, TrainingResult, TrainingSpec
from services.training.domain.ports import Reporter
from services.training.workloads.kit.fingerprints import dataset_fingerprint, fingerprint
from services.training.workloads.kit.metrics import Answers, as_score
from services.training.workloads.kit.telling import Telling
from services.training.workloads.tabular.case import Case, settle
from services.training.workloads.tabular.engines.protocol import Engine, Fitted
from services.training.workloads.tabular.evaluation import evaluate
from services.training.workloads.tabular.importance import feature_importance
from services.training.workloads.tabular.packaging import Outcome, write_package
from services.training.workloads.tabular.parameters import used


def train(spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
    """Train on a data file and write `folder / "artifact.zip"`; everything else in the folder is removed again."""
    start_time = datetime.now(UTC)
    telling = Telling(report)
    telling.begin(Stage.PREPARING, "Reading the data")
    case = settle(spec, data)
    dataset_sha256 = dataset_fingerprint(spec, data)
    work = folder / "work"
    work.mkdir(parents=True)
    telling.begin(Stage.TRAINING, f"Learning {case.target.name} from {len(case.split.train):,} rows")
    fitted = _engine_of(case).fit(case, work, telling)
    telling.begin(Stage.EVALUATING, f"Measuring on the held-out rows: {len(case.split.test):,}")
    outcome = _evaluate(case, fitted, dataset_sha256, start_time)
    telling.begin(Stage.PACKAGING, "Packaging the model")
    artifact = write_package(case, fitted, outcome, data, work, folder / "artifact.zip")
    shutil.rmtree(work)
    result = _result(case, fitted, outcome, artifact)
    measured = outcome.metrics[result.score_name]
    telling.finish(f"{result.best_model}: {result.score_name} {measured:.4g} on held-out rows")
    return result


def _engine_of(case: Case) -> Engine:
    if case.parameters.engine == "autogluon":
        from services.training.workloads.tabular.engines.automl import AutogluonEngine

        return AutogluonEngine()
    from services.training.workloads.tabular.engines.quick import QuickEngine

    return QuickEngine()


def _evaluate(case: Case, fitted: Fitted, dataset_sha256: str, start_time: datetime) -> Outcome:
    rows, truth = case.rows(case.split.test)
    answers = fitted.answer(rows)
    measured = case.measure(truth, answers)
    return Outcome(
        metrics=measured,
        score=as_score(case.score_name, measured[case.score_name]),
        leaderboard=fitted.leaderboard(rows, truth),
        library_versions={name: version(name) for name in fitted.distributions},
        dataset_sha256=dataset_sha256,
        start_time=start_time,
        evaluation=_describe_evaluation(case, fitted, rows, truth, answers),
    )


def _describe_evaluation(
    case: Case, fitted: Fitted, rows: pd.DataFrame, truth: npt.NDArray[Any], answers: Answers
) -> dict[str, Any]:
    """What charts are drawn from; what there is nothing of is left out."""
    found = evaluate(case, truth, answers)
    found["feature_importance"] = feature_importance(case, rows, truth, fitted.answer)
    found["left_out"] = [{"family": family, "reason": why} for family, why in fitted.left_out.items()]
    return {name: value for name, value in found.items() if value}


def _result(case: Case, fitted: Fitted, outcome: Outcome, artifact: Path) -> TrainingResult:
    end_time = datetime.now(UTC)
    return TrainingResult(
        training_id=case.spec.training_id,
        engine=case.parameters.engine,
        best_model=fitted.best_model,
        target=case.target.name,
        problem_type=case.target.problem_type,
        score_name=case.score_name,
        score=outcome.score,
        metrics=[Metric(name, value, measure_time=end_time) for name, value in outcome.metrics.items()],
        train_row_count=len(case.split.train),
        test_row_count=len(case.split.test),
        features=[feature.name for feature in case.columns.features],
        leaderboard=outcome.leaderboard,
        unavailable=fitted.unavailable,
        parameters=used(case.parameters),
        library_versions=outcome.library_versions,
        artifact_size=artifact.stat().st_size,
        artifact_sha256=fingerprint(artifact),
        dataset_sha256=outcome.dataset_sha256,
        start_time=outcome.start_time,
        end_time=end_time,
        evaluation=outcome.evaluation,
    )
