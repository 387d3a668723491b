"""Measures predictions. A metric that these rows do not define is left out, never made up."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.training.domain.model import ProblemType

BINARY, MULTICLASS, REGRESSION = ProblemType.BINARY, ProblemType.MULTICLASS, ProblemType.REGRESSION

# Below this many rows r2 says next to nothing, and of one row it is not defined.
ROWS_FOR_R2 = 20


@dataclass(frozen=True)
class Scale:
    """What is known of a metric: for which problems it is, whether less is better, its name in AutoGluon."""

    problems: frozenset[ProblemType]
    is_error: bool
    autogluon: str


SCALES = {
    "accuracy": Scale(frozenset({BINARY, MULTICLASS}), False, "accuracy"),
    "balanced_accuracy": Scale(frozenset({BINARY, MULTICLASS}), False, "balanced_accuracy"),
    "f1": Scale(frozenset({BINARY}), False, "f1"),
    "f1_macro": Scale(frozenset({BINARY, MULTICLASS}), False, "f1_macro"),
    "roc_auc": Scale(frozenset({BINARY}), False, "roc_auc"),
    "roc_auc_ovr": Scale(frozenset({MULTICLASS}), False, "roc_auc_ovr"),
    "log_loss": Scale(frozenset({BINARY, MULTICLASS}), True, "log_loss"),
    "r2": Scale(frozenset({REGRESSION}), False, "r2"),
    "rmse": Scale(frozenset({REGRESSION}), True, "root_mean_squared_error"),
    "mae": Scale(frozenset({REGRESSION}), True, "mean_absolute_error"),
}


@dataclass(frozen=True)
class Answers:
    """What a model answers for some rows; for classes also the probability of each, in the order of the classes."""

    predicted: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None = None


def metrics_for(problem_type: ProblemType) -> list[str]:
    """Names of the metrics of a kind of problem."""
    return [name for name, scale in SCALES.items() if problem_type in scale.problems]


def defined_metrics(problem_type: ProblemType, truth: npt.NDArray[Any], classes: list[Any]) -> list[str]:
    """Names of the metrics that can be measured on these rows."""
    present = set(pd.unique(truth).tolist())
    undefined = set()
    if problem_type is REGRESSION and len(present) < 2:
        undefined = {"r2"}
    if problem_type is not REGRESSION and present != set(classes):
        undefined = {"roc_auc", "roc_auc_ovr"}
    if problem_type is BINARY and classes[-1] not in present:
        undefined.add("f1")
    return [name for name in metrics_for(problem_type) if name not in undefined]


def default_metric(problem_type: ProblemType, row_count: int, defined: list[str]) -> str:
    """The metric that gives the score unless another is asked for; one of those that the held-out rows define."""
    if problem_type is REGRESSION:
        return "r2" if row_count >= ROWS_FOR_R2 and "r2" in defined else "rmse"
    return "accuracy"


def as_score(name: str, value: float) -> float:
    """A metric as a score, of which more is better."""
    return -value if SCALES[name].is_error else value


def measure(
    problem_type: ProblemType,
    truth: npt.NDArray[Any],
    answers: Answers,
    classes: list[Any],
    only: Collection[str] | None = None,
) -> dict[str, float]:
    """All metrics that these rows define, by name, or only some of them."""
    names = [name for name in defined_metrics(problem_type, truth, classes) if only is None or name in only]
    measured = _measure_numbers(truth, answers) if problem_type is REGRESSION else {}
    for name in names if problem_type is not REGRESSION else ():
        measured[name] = _measure_classes(name, truth, answers, classes)
    return {name: float(measured[name]) for name in names}


def _measure_numbers(truth: npt.NDArray[Any], answers: Answers) -> dict[str, float]:
    # Here and below, because a check, which measures nothing, need not wait for scikit-learn.
    from sklearn import metrics as sk

    return {
        "r2": sk.r2_score(truth, answers.predicted) if len(truth) > 1 else np.nan,
        "rmse": sk.root_mean_squared_error(truth, answers.predicted),
        "mae": sk.mean_absolute_error(truth, answers.predicted),
    }


def _measure_classes(name: str, truth: npt.NDArray[Any], answers: Answers, classes: list[Any]) -> float:
    from sklearn import metrics as sk

    predicted, probabilities = answers.predicted, answers.probabilities
    if probabilities is None:
        raise ValueError("classes are measured with their probabilities")
    match name:
        case "accuracy":
            value = sk.accuracy_score(truth, predicted)
        case "balanced_accuracy":
            present = pd.unique(truth)
            value = sk.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
        case "f1":
            value = sk.f1_score(truth, predicted, pos_label=classes[-1], zero_division=0)
        case "f1_macro":
            value = sk.f1_score(truth, predicted, average="macro", zero_division=0)
        case "log_loss":
            value = sk.log_loss(truth, probabilities, labels=classes)
        case "roc_auc":
            value = sk.roc_auc_score(truth == classes[-1], probabilities[:, -1])
        case _:
            value = sk.roc_auc_score(truth, probabilities, multi_class="ovr", labels=classes)
    return float(value)
