"""Measures a model on the held-out images."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from services.training.workloads.images.case import Case
from services.training.workloads.images.fitting import Curve
from services.training.workloads.kit.metrics import Answers, as_score, measure
from services.training.workloads.kit.packaging import without_nan
from services.training.workloads.kit.splitting import Rows

# With more, a matrix is no chart any more, and as long as everything else together.
MOST_IN_MATRIX = 100


@dataclass(frozen=True)
class Measured:
    """What was measured: numbers by name, the score, what charts are drawn from, and what a guess would reach."""

    metrics: dict[str, float]
    score: float
    evaluation: dict[str, Any]
    baseline: dict[str, Any]


def measure_answers(case: Case, curve: Curve, chances: npt.NDArray[np.float64]) -> Measured:
    """Measure what a model answers for the held-out images, images × classes."""
    truth, told = case.labels[case.parts.test], chances.argmax(axis=1)
    metrics = measure_rows(case, case.parts.test, chances)
    evaluation = {
        "per_class": _per_class(case.classes, truth, told),
        "learning_curve": {**curve.as_columns(), "best_epoch": curve.best_epoch, "ended_by": curve.ended_by},
    }
    if len(case.classes) <= MOST_IN_MATRIX:
        counts = sk.confusion_matrix(truth, told, labels=range(len(case.classes)))
        evaluation["confusion_matrix"] = {"labels": case.classes, "counts": counts.tolist()}
    score = as_score(case.score_name, metrics[case.score_name])
    return Measured(metrics, score, without_nan(evaluation), _baseline(case, truth))


def measure_rows(
    case: Case, rows: Rows, chances: npt.NDArray[np.float64], only: Collection[str] | None = None
) -> dict[str, float]:
    """All metrics that some images define, or only some of them, of what a model answers for these."""
    names = np.array(case.classes)
    answers = Answers(names[chances.argmax(axis=1)], chances)
    return measure(case.problem_type, names[case.labels[rows]], answers, case.classes, only)


def _per_class(classes: list[str], truth: npt.NDArray[Any], told: npt.NDArray[Any]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class; None where the held-out images do not define one."""
    places = range(len(classes))
    figures = sk.precision_recall_fscore_support(truth, told, labels=places, zero_division=np.nan)
    names = ("precision", "recall", "f1")
    return [
        {"class": classes[place]}
        | {name: float(values[place]) for name, values in zip(names, figures, strict=False)}
        | {"support": int(figures[3][place])}
        for place in places
    ]


def _baseline(case: Case, truth: npt.NDArray[Any]) -> dict[str, Any]:
    """What always answering the most frequent class would reach: what a model has to beat."""
    most = int(np.bincount(case.labels[case.parts.train]).argmax())
    return {"answer": case.classes[most], "accuracy": float((truth == most).mean())}
