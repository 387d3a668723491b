"""Metrics: the right numbers, and none where the rows do not define them."""

import numpy as np
import pytest

from services.training.domain.model import ProblemType
from services.training.workloads.kit.metrics import Answers, as_score, measure

BINARY, MULTICLASS, REGRESSION = ProblemType.BINARY, ProblemType.MULTICLASS, ProblemType.REGRESSION


def _answers(predicted, chances):
    return Answers(np.array(predicted), np.array(chances))


def test_two_classes():
    answers = _answers(["n", "y", "y", "n"], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    measured = measure(BINARY, np.array(["n", "n", "y", "y"]), answers, ["n", "y"])

    assert measured == pytest.approx(
        {
            "accuracy": 0.5,
            "balanced_accuracy": 0.5,
            "f1": 0.5,
            "f1_macro": 0.5,
            "roc_auc": 0.75,
            "log_loss": -np.log([0.9, 0.4, 0.8, 0.3]).mean(),
        }
    )


def test_a_curve_needs_both_classes_and_f1_the_one_it_is_about():
    answers = _answers(["n", "n"], [[0.9, 0.1], [0.8, 0.2]])
    measured = measure(BINARY, np.array(["n", "n"]), answers, ["n", "y"])

    assert set(measured) == {"accuracy", "balanced_accuracy", "f1_macro", "log_loss"}
    assert measured["accuracy"] == 1


def test_three_classes():
    chances = np.eye(3) * 0.7 + 0.1
    answers = _answers([0, 1, 2], chances)
    whole = measure(MULTICLASS, np.array([0, 1, 2]), answers, [0, 1, 2])
    part = measure(MULTICLASS, np.array([0, 1, 1]), answers, [0, 1, 2])

    assert (whole["accuracy"], whole["f1_macro"], whole["roc_auc_ovr"]) == (1, 1, 1)
    assert whole["log_loss"] == pytest.approx(-np.log(0.8))
    assert "roc_auc_ovr" not in part
    assert part["accuracy"] == pytest.approx(2 / 3)


def test_numbers():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    measured = measure(REGRESSION, truth, Answers(truth + 1), [])

    assert measured == pytest.approx({"r2": 1 - 4 / 5, "rmse": 1.0, "mae": 1.0})


@pytest.mark.parametrize("truth", [[1.0], [2.0, 2.0]])
def test_r2_needs_numbers_that_differ(truth):
    measured = measure(REGRESSION, np.array(truth), Answers(np.array(truth) + 0.5), [])

    assert measured == pytest.approx({"rmse": 0.5, "mae": 0.5})


def test_an_error_is_a_negative_score():
    assert as_score("rmse", 2.5) == -2.5
    assert as_score("accuracy", 0.5) == 0.5
