"""The autogluon engine, once on a real table. What it tries depends on the machine: structure and floors are tested."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.training.domain.errors import EngineFailed, EngineUnavailable, FitRefused
from services.training.workloads.kit.parts import is_installed
from services.training.workloads.tabular import case
from tests.unit.training_workloads.trial import check, spec_of, train

TIME_LIMIT = 10


@pytest.fixture(scope="module")
def timed(tables, tmp_path_factory):
    return train(tables["cancer"], tmp_path_factory.mktemp("automl"), engine="autogluon", time_limit=TIME_LIMIT)


def when(trial, words):
    """The moment at which it first told something that begins so."""
    return next(
        at for at, told in zip(trial.told_at, trial.progress_told, strict=True) if told.message.startswith(words)
    )


def test_real_data_is_learned_within_the_time_limit(timed):
    """What the time limit is for: not for the libraries, which a busy machine may be long to import."""
    result = timed.result

    assert (result.engine, result.score_name) == ("autogluon", "accuracy")
    assert result.score >= 0.9
    assert when(timed, "Measuring") - when(timed, "Fitting: ") < TIME_LIMIT + 20
    assert result.parameters["time_limit"] == TIME_LIMIT
    assert result.parameters["presets"] == "medium_quality"
    assert {"autogluon.tabular", "scikit-learn"} <= result.library_versions.keys()


def test_every_model_is_measured_on_the_held_out_rows(timed):
    result = timed.result
    scores = [entry.test_score for entry in result.leaderboard]

    assert scores == sorted(scores, reverse=True)
    assert not any(math.isnan(score) for score in scores)
    assert result.score in scores
    assert result.best_model in {entry.model for entry in result.leaderboard}
    assert all(entry.fit_seconds > 0 for entry in result.leaderboard)


def test_each_fitted_model_is_told_with_its_validation_score(timed):
    told = [metric for metric in timed.metrics_told if metric.name == "val_score"]
    fractions = [progress.fraction for progress in timed.progress_told]

    assert [metric.step for metric in told] == list(range(1, len(told) + 1))
    assert {metric.split for metric in told} == {"validation"}
    assert len(told) >= len(timed.result.leaderboard)
    assert any(progress.message.startswith("Fitting: ") for progress in timed.progress_told)
    assert fractions == sorted(fractions)


def test_families_that_are_not_installed_are_named(timed):
    """Nothing is passed over in silence: what could not be tried is in the result and in the card."""
    absent = {name for name, module in (("CAT", "catboost"), ("XGB", "xgboost")) if not is_installed(module)}
    card = (timed.package / "README.md").read_text()

    assert absent <= set(timed.result.unavailable)
    assert ("NN_TORCH" in timed.result.unavailable) == (not is_installed("torch"))
    assert all(name in card for name in timed.result.unavailable)


def test_the_package_is_small_and_nothing_is_left_beside_it(timed):
    manifest = json.loads((timed.package / "manifest.json").read_text())

    assert timed.result.artifact_size < 5_000_000
    assert {path.name for path in timed.folder.iterdir()} == {"artifact.zip", "unpacked"}
    assert "model/predictor.pkl" in manifest["files"]
    assert not Path("AutogluonModels").exists()


def test_data_that_it_cannot_fit_is_a_clear_error(write, tmp_path):
    data = write("a,b,y\n1,x,1.5\n2,y,2.5\n3,x,3.5\n4,y,4.5\n")
    with pytest.raises(EngineFailed, match="engine 'quick'"):
        train(data, tmp_path / "folder", engine="autogluon", time_limit=5)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"num_stack_levels": 1}, "num_stack_levels must be 0"),
        ({"set_best_to_refit_full": True}, "refit_full=True"),
        ({"hyperparameters": {"GBM": {"num_leaves": -5}}}, "num_leaves"),
        ({"hyperparameters": {"GBM": {"ag_args": "x"}}}, "'str' object"),
    ],
)
def test_what_autogluon_cannot_do_it_says_itself(tables, tmp_path, asked, says):
    """002.9: neither more time nor more rows would help, and nobody is told so."""
    wish = {"hyperparameters": {"GBM": {"num_boost_round": 5}}, "time_limit": 10, **asked}
    with pytest.raises(FitRefused, match=says) as caught:
        train(tables["wine"], tmp_path / "folder", engine="autogluon", **wish)

    assert "not enough" not in caught.value.message


def test_an_engine_that_is_not_installed_is_named(tables, monkeypatch):
    monkeypatch.setattr(case, "is_installed", lambda module: module != "autogluon.tabular")
    with pytest.raises(EngineUnavailable, match="autogluon") as caught:
        check(tables["wine"], engine="autogluon")

    assert caught.value.reason == "ENGINE_UNAVAILABLE"


def test_autogluon_makes_the_same_of_our_columns_as_of_the_table(write):
    """Measure 1: what models learn from is what they would if AutoGluon read the table itself. Whole numbers stay
    floats, as it advises: a gap in a later row is none to it otherwise, but a zero."""
    chance = np.random.default_rng(1)
    days = pd.Timestamp("2021-03-01") + pd.to_timedelta(chance.integers(0, 20_000, 300), unit="h")
    words = [" ".join(chance.choice(["a", "red", "fox", "ran", "by", "two", "blue", "old", "dogs"], 9)) for _ in days]
    table = pd.DataFrame(
        {
            "x": np.where(chance.random(300) < 0.2, np.nan, chance.normal(size=300)),
            "whole": chance.integers(0, 9, 300),
            "town": chance.choice(["Ulm", "Bonn", None], 300),
            "truth": chance.choice([True, False], 300),
            "gaps": chance.choice(np.array([True, False, None]), 300),
            "answer": chance.choice(["yes", "no"], 300),
            "day": days.strftime("%Y-%m-%d"),
            "american": days.strftime("%m/%d/%Y"),
            "moment": days.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
            "clock": days.strftime("%H:%M"),
            "words": words,
            "y": chance.choice(["p", "q"], 300),
        }
    )
    data = write(table)
    settled = case.settle(spec_of("y", engine="autogluon"), data)
    ours, theirs = settled.rows(settled.split.train)[0], pd.read_csv(data).drop(columns="y").iloc[settled.split.train]
    ours, theirs = (_features(frame.reset_index(drop=True)) for frame in (ours, theirs))

    assert {"gaps", "day.dayofweek", "moment", "words.char_count"} <= set(theirs)
    pd.testing.assert_frame_equal(ours.astype({"whole": "int64"}), theirs)


def _features(rows):
    from autogluon.features.generators import AutoMLPipelineFeatureGenerator

    return AutoMLPipelineFeatureGenerator(verbosity=0).fit_transform(rows)


FAMILIES = {
    "LightGBM": [
        {"num_boost_round": 20},
        {"num_boost_round": 20, "extra_trees": True, "ag_args": {"name_suffix": "XT"}},
    ],
    "CatBoost": {"iterations": 20},
    "XGBoost": {"n_estimators": 10},
    "NeuralNetTorch": {"num_epochs": 2},
    "NeuralNetFastAI": {},
    "RandomForest": {"n_estimators": 10},
}
NEEDS = {"CAT": "catboost", "XGB": "xgboost", "NN_TORCH": "torch", "FASTAI": "fastai"}


@pytest.fixture(scope="module")
def asked(tables, tmp_path_factory):
    wish = {"hyperparameters": FAMILIES, "num_bag_folds": 2, "num_bag_sets": 1, "time_limit": 90}
    return train(tables["wine"], tmp_path_factory.mktemp("asked"), engine="autogluon", **wish)


def test_families_that_are_asked_for_are_fitted(asked):
    """002.9: by AutoGluon's names, with its options, bagged; what is not there is named with the reason."""
    absent = {family for family, module in NEEDS.items() if not is_installed(module)}
    models = {entry.model for entry in asked.result.leaderboard}
    left_out = {each["family"]: each["reason"] for each in asked.result.evaluation.get("left_out", [])}

    assert {"LightGBM_BAG_L1", "LightGBMXT_BAG_L1", "RandomForest_BAG_L1"} <= models
    assert absent <= left_out.keys()
    assert all("not installed" in left_out[family] for family in absent)
    assert absent <= set(asked.result.unavailable) <= left_out.keys()
    assert asked.result.parameters["excluded_model_types"] == []
    assert asked.result.parameters["hyperparameters"]["GBM"] == FAMILIES["LightGBM"]


def test_bagged_models_are_told_one_by_one(asked):
    told = [progress.message for progress in asked.progress_told]
    scores = [metric.value for metric in asked.metrics_told if metric.name == "val_score"]
    fitted = [message.split(":")[0].removeprefix("Fitted ") for message in told if message.startswith("Fitted ")]

    assert "Fitting: LightGBM_BAG_L1" in told
    assert set(fitted) == {entry.model for entry in asked.result.leaderboard}
    assert len(scores) == len(fitted)


def test_the_package_needs_no_more_than_its_best_model(asked):
    library = {"CatBoost": "catboost", "XGBoost": "xgboost", "NeuralNetTorch": "torch", "LightGBM": "lightgbm"}
    written = {path.name.split("_BAG")[0] for path in (asked.package / "model/models").iterdir() if path.is_dir()}
    named = {name.removesuffix("-cpu") for name in asked.result.library_versions}

    for family, distribution in library.items():
        assert (distribution in named) == any(name.startswith(family) for name in written), written


def test_the_same_seed_gives_the_same_score(tables, tmp_path):
    """With time enough; another seed holds out other rows."""
    wish = {"engine": "autogluon", "hyperparameters": {"GBM": {"num_boost_round": 30}}, "time_limit": 120}
    first, again, other = (
        train(tables["diabetes"], tmp_path / str(place), seed=seed, **wish).result
        for place, seed in enumerate((3, 3, 4))
    )

    assert [metric.value for metric in first.metrics] == [metric.value for metric in again.metrics]
    assert first.score != other.score


def test_columns_with_names_of_arguments_and_classes_of_many_digits_are_learned(write, tmp_path):
    frame = pd.DataFrame({"data": np.arange(120) % 17, "path": np.where(np.arange(120) % 2, np.inf, np.nan)})
    frame["self"] = np.where(frame["data"] > 8, str(2**64 - 1), str(2**63))
    wish = {"hyperparameters": {"GBM": {"num_boost_round": 10}}, "time_limit": 60}
    result = train(write(frame), tmp_path / "folder", engine="autogluon", **wish).result

    assert (result.target, result.features, result.score) == ("self", ["data"], 1.0)
    assert result.evaluation["confusion_matrix"]["labels"] == [str(2**64 - 1), str(2**63)]


@pytest.mark.parametrize("engine", ["quick", "autogluon"])
def test_rows_that_weigh_more_count_for_more(write, tmp_path, engine):
    """Of rows that say p and q of the same thing, those that weigh a hundred times as much are believed."""
    rows = "".join(f"{place % 7},{100 if place % 2 else 1},{'qp'[place % 2]}\n" for place in range(280))
    wish = {"hyperparameters": {"GBM": {"num_boost_round": 10}}, "time_limit": 60} if engine == "autogluon" else {}
    data = write(f"a,weight,y\n{rows}")
    result = train(data, tmp_path / "folder", engine=engine, sample_weight="weight", **wish).result
    [truly_p, truly_q] = result.evaluation["confusion_matrix"]["counts"]

    assert result.features == ["a"]
    assert (truly_p[1], truly_q[1]) == (0, 0)
