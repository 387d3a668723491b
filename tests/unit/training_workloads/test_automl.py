"""The autogluon engine, once on a real table. What it tries depends on the machine: structure and floors are tested."""

import json
import math
import time
from pathlib import Path

import pytest

from services.training.domain.errors import EngineFailed, EngineUnavailable
from services.training.workloads.kit.parts import is_installed
from services.training.workloads.tabular import case
from tests.unit.training_workloads.trial import check, train

TIME_LIMIT = 10


@pytest.fixture(scope="module")
def timed(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("automl")
    started = time.monotonic()
    trial = train(tables["cancer"], folder, engine="autogluon", time_limit=TIME_LIMIT)
    return trial, time.monotonic() - started


def test_real_data_is_learned_within_the_time_limit(timed):
    trial, seconds = timed
    result = trial.result

    assert (result.engine, result.score_name) == ("autogluon", "accuracy")
    assert result.score >= 0.9
    assert seconds < TIME_LIMIT + 20
    assert result.parameters["time_limit"] == TIME_LIMIT
    assert result.parameters["presets"] == "medium_quality"
    assert {"autogluon.tabular", "scikit-learn"} <= result.library_versions.keys()


def test_every_model_is_measured_on_the_held_out_rows(timed):
    result = timed[0].result
    scores = [entry.test_score for entry in result.leaderboard]

    assert scores == sorted(scores, reverse=True)
    assert not any(math.isnan(score) for score in scores)
    assert result.score in scores
    assert result.best_model in {entry.model for entry in result.leaderboard}
    assert all(entry.fit_seconds > 0 for entry in result.leaderboard)


def test_each_fitted_model_is_told_with_its_validation_score(timed):
    trial, _ = timed
    told = [metric for metric in trial.metrics_told if metric.name == "val_score"]
    fractions = [progress.fraction for progress in trial.progress_told]

    assert [metric.step for metric in told] == list(range(1, len(told) + 1))
    assert {metric.split for metric in told} == {"validation"}
    assert len(told) >= len(trial.result.leaderboard)
    assert any(progress.message.startswith("Fitting: ") for progress in trial.progress_told)
    assert fractions == sorted(fractions)


def test_families_that_are_not_installed_are_named(timed):
    """Nothing is passed over in silence: what could not be tried is in the result and in the card."""
    trial, _ = timed
    absent = {name for name, module in (("CAT", "catboost"), ("XGB", "xgboost")) if not is_installed(module)}
    card = (trial.package / "README.md").read_text()

    assert absent <= set(trial.result.unavailable)
    assert ("NN_TORCH" in trial.result.unavailable) == (not is_installed("torch"))
    assert all(name in card for name in trial.result.unavailable)


def test_the_package_is_small_and_nothing_is_left_beside_it(timed):
    trial, _ = timed
    manifest = json.loads((trial.package / "manifest.json").read_text())

    assert trial.result.artifact_size < 5_000_000
    assert {path.name for path in trial.folder.iterdir()} == {"artifact.zip", "unpacked"}
    assert "model/predictor.pkl" in manifest["files"]
    assert not Path("AutogluonModels").exists()


def test_data_that_it_cannot_fit_is_a_clear_error(write, tmp_path):
    data = write("a,b,y\n1,x,1.5\n2,y,2.5\n3,x,3.5\n4,y,4.5\n")
    with pytest.raises(EngineFailed, match="engine 'quick'"):
        train(data, tmp_path / "folder", engine="autogluon", time_limit=5)


def test_an_engine_that_is_not_installed_is_named(tables, monkeypatch):
    monkeypatch.setattr(case, "is_installed", lambda module: module != "autogluon.tabular")
    with pytest.raises(EngineUnavailable, match="autogluon") as caught:
        check(tables["wine"], engine="autogluon")

    assert caught.value.reason == "ENGINE_UNAVAILABLE"
