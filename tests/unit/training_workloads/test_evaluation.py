"""What charts of held-out rows are drawn from: the right numbers, bounded, and of JSON's kinds only."""

import json
import time

import numpy as np
import pytest
from sklearn import metrics as sk

from services.training.workloads.tabular import evaluation, importance
from tests.unit.training_workloads.trial import train

RANDOM = np.random.default_rng(3)


def _strict(value) -> str:
    return json.dumps(value, allow_nan=False)


@pytest.fixture(scope="module")
def binary(tables, tmp_path_factory):
    return train(tables["cancer"], tmp_path_factory.mktemp("binary"))


def test_two_classes_have_all_curves(binary):
    """002.9: everything is measured on the held-out rows, and agrees with the metrics beside it."""
    result = binary.result
    found, metrics = result.evaluation, {metric.name: metric.value for metric in result.metrics}
    counts = np.array(found["confusion_matrix"]["counts"])

    assert set(found) == {
        "confusion_matrix", "per_class", "roc_curve", "precision_recall_curve", "calibration_curve",
        "feature_importance",
    }  # fmt: skip
    assert counts.sum() == result.test_row_count == sum(found["calibration_curve"]["count"])
    assert np.trace(counts) / counts.sum() == pytest.approx(metrics["accuracy"])
    assert found["roc_curve"]["area"] == pytest.approx(metrics["roc_auc"], rel=1e-5)
    assert found["per_class"][1]["f1"] == pytest.approx(metrics["f1"], rel=1e-5)
    assert found["roc_curve"]["class"] == found["precision_recall_curve"]["class"] == 1
    assert _strict(found)


def test_the_columns_that_matter_most_come_first(binary):
    found = binary.result.evaluation["feature_importance"]
    falls = [each["importance"] for each in found]

    assert {each["feature"] for each in found} == set(binary.result.features)
    assert falls == sorted(falls, reverse=True)
    assert falls[0] > 0
    assert all(0 <= each["p_value"] <= 1 for each in found if "p_value" in each)


def test_the_manifest_and_the_card_tell_the_same(binary):
    manifest = json.loads((binary.package / "manifest.json").read_text())
    card = (binary.package / "README.md").read_text()
    top = binary.result.evaluation["feature_importance"][0]
    first = binary.result.evaluation["confusion_matrix"]["counts"][0]

    assert manifest["evaluation"] == binary.result.evaluation
    assert f"| `{top['feature']}` | {top['importance']:.4g} |" in card
    assert f"| `0` | {first[0]} | {first[1]} |" in card


def test_a_pause_of_the_machine_does_not_lose_what_the_columns_are_worth(tables, tmp_path, monkeypatch):
    """002.9: how long a look at the model takes is not judged by one alone, which something else may have held up."""
    pauses, scores = iter([0.6]), importance._shuffled_scores

    def paused(*given):
        time.sleep(next(pauses, 0.0))
        return scores(*given)

    monkeypatch.setattr(importance, "_shuffled_scores", paused)
    result = train(tables["wine"], tmp_path).result
    held_up = next(pauses, None) is None

    assert held_up
    assert {each["feature"] for each in result.evaluation["feature_importance"]} == set(result.features)


def test_numbers_have_their_residuals(tables, tmp_path):
    result = train(tables["diabetes"], tmp_path).result
    found, rmse = result.evaluation, {metric.name: metric.value for metric in result.metrics}["rmse"]
    pairs = np.array([found["predicted_actual"]["actual"], found["predicted_actual"]["predicted"]])

    assert set(found) == {"predicted_actual", "residuals", "feature_importance"}
    assert np.sqrt(((pairs[0] - pairs[1]) ** 2).mean()) == pytest.approx(rmse, rel=1e-4)
    assert sum(found["residuals"]["counts"]) == result.test_row_count
    assert len(found["residuals"]["edges"]) == len(found["residuals"]["counts"]) + 1
    assert _strict(found)


def test_three_classes_have_a_curve_each(tables, tmp_path):
    found = train(tables["wine"], tmp_path).result.evaluation

    assert [curve["class"] for curve in found["roc_curve"]["classes"]] == [0, 1, 2]
    assert [curve["class"] for curve in found["precision_recall_curve"]["classes"]] == [0, 1, 2]
    assert "calibration_curve" not in found


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    truth = RANDOM.random(20_000) < 0.5
    chances = np.clip(truth * 0.2 + RANDOM.random(20_000), 0, 1)
    roc = evaluation.roc_curve("y", truth, chances)
    precision = evaluation.precision_recall_curve("y", truth, chances)
    drawn = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])

    assert len(roc["false_positive_rate"]) == len(precision["recall"]) == evaluation.POINTS
    assert (roc["false_positive_rate"][0], roc["true_positive_rate"][-1]) == (0, 1)
    assert precision["recall"] == sorted(precision["recall"])
    assert drawn == pytest.approx(sk.roc_auc_score(truth, chances), abs=0.002)


def test_calibration_leaves_out_what_no_row_falls_into():
    found = evaluation.calibration_curve("y", np.array([0, 0, 1, 1]), np.array([0.05, 0.07, 0.93, 1.0]))

    assert found == {"class": "y", "predicted": [0.06, 0.965], "observed": [0.0, 1.0], "count": [2, 2]}


def test_of_many_classes_the_most_frequent_are_shown():
    classes = [f"c{number:03d}" for number in range(150)]
    truth = np.array(classes + classes[50:] * 2)
    found = evaluation.confusion_matrix(truth, truth, classes)

    assert found["labels"] == classes[50:]
    assert np.array(found["counts"]).tolist() == (np.eye(100, dtype=int) * 3).tolist()
    assert found["truncated"]
    assert len(evaluation.per_class(truth, truth, classes)) == 150
