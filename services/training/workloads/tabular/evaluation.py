"""What charts of the held-out rows are drawn from. docs/evaluation.md describes every name."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from services.training.workloads.kit.metrics import Answers
from services.training.workloads.tabular.case import Case

POINTS = 200  # of one curve
CLASS_POINTS = 50  # of one of many curves
CURVE_CLASSES = 20  # with more, there are no curves
MATRIX_CLASSES = 100
REPORT_CLASSES = 200
SCATTER_ROWS = 1000
RESIDUAL_BINS = 30
CALIBRATION_BINS = 10
DIGITS = 6

Values = npt.NDArray[Any]


def evaluate(case: Case, truth: Values, answers: Answers) -> dict[str, Any]:
    """Everything that charts show of these rows and answers, of JSON's kinds, without NaN, bounded in size."""
    if case.is_regression:
        return _evaluate_numbers(truth, answers.predicted, case.seed)
    classes = case.target.classes
    found = {
        "confusion_matrix": confusion_matrix(truth, answers.predicted, classes),
        "per_class": per_class(truth, answers.predicted, classes),
    }
    if answers.probabilities is None:
        return found
    return found | _curves(truth, answers.probabilities, classes)


def confusion_matrix(truth: Values, predicted: Values, classes: list[Any]) -> dict[str, Any]:
    """How many rows of each class were answered as each; of many classes, the most frequent."""
    names, counts = np.unique(truth, return_counts=True)
    often = dict(zip(names.tolist(), counts.tolist(), strict=True))
    shown = set(sorted(classes, key=lambda name: -often.get(name, 0))[:MATRIX_CLASSES])
    labels = [name for name in classes if name in shown]
    places = {name: place for place, name in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    for actual, answer in zip(truth.tolist(), predicted.tolist(), strict=True):
        if actual in places and answer in places:
            matrix[places[actual], places[answer]] += 1
    return {"labels": labels, "counts": matrix.tolist(), "truncated": len(labels) < len(classes)}


def per_class(truth: Values, predicted: Values, classes: list[Any]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class that comes up, the most frequent first where there are many."""
    figures = sk.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    rows = [
        {
            "class": name,
            "precision": _plain(precision),
            "recall": _plain(recall),
            "f1": _plain(f1),
            "support": int(count),
        }
        for name, precision, recall, f1, count in zip(classes, *figures, strict=True)
    ]
    if len(rows) <= REPORT_CLASSES:
        return rows
    return sorted(rows, key=lambda row: -row["support"])[:REPORT_CLASSES]


def _curves(truth: Values, chances: npt.NDArray[np.float64], classes: list[Any]) -> dict[str, Any]:
    """Curves of the classes that these rows have beside others; none where there are too many classes."""
    if len(classes) > CURVE_CLASSES:
        return {}
    two = len(classes) == 2
    chosen = [len(classes) - 1] if two else range(len(classes))
    points = POINTS if two else CLASS_POINTS
    cases = [(classes[place], truth == classes[place], chances[:, place]) for place in chosen]
    cases = [each for each in cases if 0 < each[1].sum() < len(truth)]
    if not cases:
        return {}
    operating = [roc_curve(*each, points) for each in cases]
    precision = [precision_recall_curve(*each, points) for each in cases]
    if not two:
        return {"roc_curve": {"classes": operating}, "precision_recall_curve": {"classes": precision}}
    return {
        "roc_curve": operating[0],
        "precision_recall_curve": precision[0],
        "calibration_curve": calibration_curve(*cases[0]),
    }


def roc_curve(name: Any, is_class: Values, chances: Values, points: int = POINTS) -> dict[str, Any]:
    """How many of the others are taken for the class before how many of its own are found."""
    false_rate, true_rate, _ = sk.roc_curve(is_class, chances)
    kept = _spread(len(false_rate), points)
    return {
        "class": name,
        "false_positive_rate": _numbers(false_rate[kept]),
        "true_positive_rate": _numbers(true_rate[kept]),
        "area": _plain(sk.roc_auc_score(is_class, chances)),
    }


def precision_recall_curve(name: Any, is_class: Values, chances: Values, points: int = POINTS) -> dict[str, Any]:
    """How many of the rows taken for the class are of it, by how many of it are found; recall goes up."""
    precision, recall, _ = sk.precision_recall_curve(is_class, chances)
    kept = _spread(len(recall), points)
    return {
        "class": name,
        "recall": _numbers(recall[::-1][kept]),
        "precision": _numbers(precision[::-1][kept]),
        "average_precision": _plain(sk.average_precision_score(is_class, chances)),
    }


def calibration_curve(name: Any, is_class: Values, chances: Values) -> dict[str, Any]:
    """For each tenth of the probabilities that has rows: their mean, how often it was so, and how many there are."""
    bins = np.minimum((chances * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    full = counts > 0
    predicted = np.bincount(bins, weights=chances, minlength=CALIBRATION_BINS)[full] / counts[full]
    observed = np.bincount(bins, weights=is_class, minlength=CALIBRATION_BINS)[full] / counts[full]
    return {
        "class": name,
        "predicted": _numbers(predicted),
        "observed": _numbers(observed),
        "count": counts[full].tolist(),
    }


def _evaluate_numbers(truth: Values, predicted: Values, seed: int) -> dict[str, Any]:
    finite = np.isfinite(predicted)
    truth, predicted = truth[finite], predicted[finite].astype("float64")
    if not len(truth):
        return {}
    picked = np.sort(np.random.default_rng(seed).permutation(len(truth))[:SCATTER_ROWS])
    counts, edges = np.histogram(truth - predicted, bins=RESIDUAL_BINS)
    return {
        "predicted_actual": {"actual": _numbers(truth[picked]), "predicted": _numbers(predicted[picked])},
        "residuals": {"edges": _numbers(edges), "counts": counts.tolist()},
    }


def _spread(count: int, points: int) -> npt.NDArray[np.int64]:
    """Positions of so many of a curve's points at most, evenly, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(np.int64))


def _numbers(values: Values) -> list[float]:
    return [_plain(value) for value in values]


def _plain(value: Any) -> float:
    """As many digits as a chart can show."""
    return float(f"{float(value):.{DIGITS}g}")
