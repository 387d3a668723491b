"""The quick engine on real tables."""

import hashlib
import math
import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest

from services.training.domain.model import ProblemType, Stage
from services.training.workloads.tabular.engines import quick
from tests.unit.training_workloads.trial import check, train

FLOORS = {"wine": ("accuracy", 0.9), "cancer": ("accuracy", 0.92), "diabetes": ("r2", 0.3)}


@pytest.mark.parametrize("name", FLOORS)
def test_real_data_is_learned(tables, tmp_path, name):
    """Scores on held-out rows of scikit-learn's own tables are at least what such trees are known to reach."""
    score_name, floor = FLOORS[name]
    trial = train(tables[name], tmp_path)
    result = trial.result
    plan = check(tables[name])

    assert (result.score_name, result.engine, result.best_model) == (score_name, "quick", "HistGradientBoosting")
    assert result.score >= floor
    assert result.train_row_count + result.test_row_count == plan.row_count == len(pd.read_csv(tables[name]))
    assert (result.target, result.problem_type) == (plan.target, plan.problem_type)
    assert len(result.features) == plan.feature_count
    assert {metric.name: metric.value for metric in result.metrics}[score_name] == result.score
    assert {metric.split for metric in result.metrics} == {"test"}
    assert [entry.test_score for entry in result.leaderboard] == [result.score]
    assert result.leaderboard[0].validation_score > floor - 0.1
    assert result.dataset_sha256 == hashlib.sha256(tables[name].read_bytes()).hexdigest()
    assert result.artifact_sha256 == hashlib.sha256((tmp_path / "artifact.zip").read_bytes()).hexdigest()
    assert result.artifact_size == (tmp_path / "artifact.zip").stat().st_size < 1_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact.zip", "unpacked"]


def test_it_tells_how_it_goes(tables, tmp_path):
    trial = train(tables["cancer"], tmp_path)
    fractions = [told.fraction for told in trial.progress_told]
    losses = {
        split: [told.value for told in trial.metrics_told if (told.name, told.split) == ("log_loss", split)]
        for split in ("train", "validation")
    }
    steps = [told.step for told in trial.metrics_told if (told.name, told.split) == ("accuracy", "validation")]

    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert list(dict.fromkeys(told.stage for told in trial.progress_told)) == [
        Stage.PREPARING, Stage.TRAINING, Stage.EVALUATING, Stage.PACKAGING
    ]  # fmt: skip
    assert losses["train"] == sorted(losses["train"], reverse=True)
    assert losses["validation"][0] > min(losses["validation"])
    assert steps == sorted(set(steps))
    assert len(steps) >= 3


def test_a_large_table_has_the_model_that_was_best(write, tmp_path, monkeypatch):
    """002.9: what is packaged has the trees that did best on validation rows, and none that made it worse since."""
    monkeypatch.setattr(quick, "CELLS_TO_REFIT", 0)
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(400, 3)), columns=list("abc"))
    frame["y"] = np.where(frame["a"] + random.normal(size=400) * 2 > 0, "p", "q")
    trial = train(write(frame), tmp_path / "folder")
    losses, scores = (
        {told.step: told.value for told in trial.metrics_told if (told.name, told.split) == (name, "validation")}
        for name in ("log_loss", "accuracy")
    )
    best = min(losses, key=lambda rounds: losses[rounds])
    trees = joblib.load(next(trial.package.rglob("model.joblib"))).named_steps["trees"]

    assert best < max(losses)
    assert (trees.n_iter_, trees.max_iter) == (best, best)
    assert trial.result.leaderboard[0].validation_score == scores[best]


def test_the_same_seed_gives_the_same_score(tables, tmp_path):
    first, again, other = (
        train(tables["diabetes"], tmp_path / str(place), seed=seed).result for place, seed in enumerate((3, 3, 4))
    )

    assert [metric.value for metric in first.metrics] == [metric.value for metric in again.metrics]
    assert first.score != other.score


@pytest.mark.parametrize(
    ("labels", "problem_type", "score_name"),
    [("pqpq", ProblemType.BINARY, "accuracy"), ("1234", ProblemType.REGRESSION, "rmse")],
)
def test_four_rows_are_enough(write, tmp_path, labels, problem_type, score_name):
    """000.1: whatever is trained is packaged. A metric that one held-out row does not define is left out."""
    rows = "".join(f"{place},{'xy'[place % 2]},{label}\n" for place, label in enumerate(labels))
    result = train(write("a,b,y\n" + rows), tmp_path / "folder").result

    assert (result.train_row_count, result.test_row_count) == (3, 1)
    assert (result.problem_type, result.score_name) == (problem_type, score_name)
    assert "roc_auc" not in {metric.name for metric in result.metrics}
    assert "r2" not in {metric.name for metric in result.metrics}
    assert math.isnan(result.leaderboard[0].validation_score)


def test_a_class_with_one_row_is_learned_from(write, tmp_path):
    rows = "".join(f"{place},{'p' if place < 20 else 'q'}\n" for place in range(40))
    trial = train(write("a,y\n" + rows + "100,rare\n"), tmp_path / "folder")

    assert trial.result.problem_type is ProblemType.MULTICLASS
    assert trial.result.train_row_count == 32
    assert trial.result.score >= 0.8


def _mixed_frame(rows: int = 800) -> pd.DataFrame:
    """Every kind of column, with holes, and a target that depends on a date, a text and a number."""
    random = np.random.default_rng(7)
    when = pd.date_range("2023-01-01", periods=rows, freq="D")
    frame = pd.DataFrame(
        {
            "id": [f"customer {number:05d}" for number in range(rows)],
            "when": when.strftime("%d.%m.%Y"),
            "price": random.gamma(2, 10, rows).round(2),
            "city": random.choice(["Malmö", "Umeå", "Luleå"], rows),
            "member": random.choice(["true", "false"], rows),
            "nothing": "",
            "same": "x",
        }
    )
    wins = (frame["price"] > 18) ^ (frame["city"] == "Malmö") ^ (when.month > 6)
    frame["answer"] = np.where(wins, "ja", "nej")
    frame.loc[::17, "price"] = np.nan
    frame.loc[::19, "city"] = np.nan
    frame.loc[::23, "member"] = np.nan
    frame.loc[::50, "answer"] = np.nan
    return frame


def test_text_dates_booleans_and_holes_are_learned_from(tmp_path):
    """Semicolons, decimal commas and Windows text included, and predict.py reads them the same."""
    data = tmp_path / "data.csv"
    _mixed_frame().to_csv(data, index=False, sep=";", decimal=",", encoding="cp1252")
    trial = train(data, tmp_path / "folder")
    done = subprocess.run(
        [sys.executable, "predict.py", data], cwd=trial.package, capture_output=True, text=True, timeout=60
    )
    predicted = done.stdout.splitlines()
    card = (trial.package / "README.md").read_text()

    assert trial.result.features == ["when", "price", "city", "member"]
    assert trial.result.train_row_count + trial.result.test_row_count == 784
    assert trial.result.score > 0.8
    assert predicted[0] == "prediction,probability_ja,probability_nej"
    assert len(predicted) == 801
    assert "16 rows have no value in `answer`" in card
    assert all(re.search(rf"- `{name}`: ", card) for name in ("id", "nothing", "same"))


HOLES = {
    "infinity only": np.where(np.arange(120) % 2, np.inf, -np.inf),
    "infinity and one number": np.where(np.arange(120) % 2, np.inf, 1.0),
    **{f"one number, in row {place}": np.where(np.arange(120) == place, 1.0, np.nan) for place in range(6)},
    "one text": np.where(np.arange(120) == 5, "x", None),
}


@pytest.mark.parametrize("case", HOLES)
def test_a_column_with_hardly_a_value_stands_in_nobodys_way(write, tmp_path, case):
    """Where its only value is held out, there is none to learn from."""
    frame = pd.DataFrame({"hole": HOLES[case], "a": np.arange(120) % 17})
    result = train(write(frame.assign(y=np.where(frame["a"] > 8, "p", "q"))), tmp_path / "folder").result

    assert result.score == 1.0


@pytest.mark.parametrize("name", ["self", "data", "index", "__class__", "{x}", "1"])
def test_a_column_may_have_any_name(write, tmp_path, name):
    frame = pd.DataFrame({name: np.arange(60) % 17, "b": np.arange(60) % 2})
    result = train(write(frame.assign(y=np.where(frame[name] > 8, "p", "q"))), tmp_path / "folder").result

    assert result.evaluation["feature_importance"][0]["feature"] == name


def test_amounts_that_hardly_differ_have_a_score(write, tmp_path):
    """The held-out rows may all have the same number, which defines no r2."""
    frame = pd.DataFrame({"a": range(120), "y": np.where(np.arange(120) < 3, [1.5, 2.25, 3.75] * 40, 0)})
    results = [train(write(frame), tmp_path / str(seed), seed=seed).result for seed in range(4)]

    assert {result.score_name for result in results} == {"r2", "rmse"}


def test_a_wide_table_is_trained_on(tmp_path, write):
    """10,000 columns work, within seconds."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(12, 9_999)).round(3)).add_prefix("c")
    frame["y"] = ["p", "q"] * 6
    result = train(write(frame), tmp_path / "folder").result

    assert len(result.features) == 9_999
    assert result.test_row_count == 3


def test_the_score_may_be_another_metric(tables, tmp_path):
    result = train(tables["diabetes"], tmp_path, eval_metric="mae", test_fraction=0.3).result
    metrics = {metric.name: metric.value for metric in result.metrics}

    assert result.score_name == "mae"
    assert result.score == -metrics["mae"]
    assert result.parameters == {"engine": "quick", "eval_metric": "mae", "seed": 0, "test_fraction": 0.3}
    assert result.test_row_count == 133


@pytest.mark.parametrize("first", ["number", "date"])
def test_a_column_may_have_the_name_of_a_part_of_a_date(write, tmp_path, first):
    """Neither takes the place of the other."""
    draw = np.random.default_rng(0)
    number = draw.normal(size=200)
    month = draw.integers(1, 13, 200)
    dates = [f"2020-{each:02}-15" for each in month]
    columns = {"number": ("d [month]", number), "date": ("d", dates)}
    ordered = [columns.pop(first), *columns.values()]
    table = pd.DataFrame(dict(ordered)).assign(y=number * 10 + month)
    trial = train(write(table), tmp_path, target="y")
    importance = {one["feature"]: one["importance"] for one in trial.result.evaluation["feature_importance"]}

    assert trial.result.score > 0.9
    assert importance["d [month]"] > 0
    assert importance["d"] > 0
