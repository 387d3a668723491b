"""The quick engine: gradient-boosted trees of scikit-learn, grown until the validation rows stop gaining by it."""

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import ThreadpoolController, threadpool_limits  # type: ignore[import-untyped]

from services.training.domain.model import LeaderboardEntry
from services.training.workloads.kit.metrics import Answers, as_score
from services.training.workloads.kit.splitting import Split, split_rows
from services.training.workloads.kit.telling import Telling
from services.training.workloads.tabular.case import Case

ROUNDS = 100  # trees for each class, at most
TREES = 1000  # over all classes
LEAST_ROUNDS = 10
PATIENCE = 2  # steps without a gain before it stops

ROWS_TO_VALIDATE = 50  # with fewer rows to learn from, none are kept for validation
VALIDATION_FRACTION = 0.15
CELLS_TO_REFIT = 2_000_000  # up to this size, the final model learns from the validation rows as well
ROWS_WATCHED = 10_000  # rows on which the training score is measured

# With fewer rows, threads cost more than they gain, and far more where the processor is busy.
ROWS_FOR_THREADS = 20_000

# With fewer rows, the trees leave most categories out of account; as ordered numbers they do better.
ROWS_FOR_CATEGORIES = 100

# A wide table would take minutes if each split looked at every value of every column.
WIDE_COLUMNS = 1000
BINS, WIDE_BINS = 255, 32
ROUNDS_A_STEP, WIDE_ROUNDS_A_STEP = 10, 50


@dataclass(frozen=True)
class Growth:
    """How a model grew: the model at its best, its trees for each class, and its score on the validation rows then."""

    model: Any
    rounds: int
    validation_score: float


@dataclass(frozen=True)
class Learning:
    """Rows to learn from, as numbers; their answers; and what each weighs, where they do not weigh the same."""

    encoded: npt.NDArray[Any]
    truth: npt.NDArray[Any]
    weights: npt.NDArray[np.float64] | None

    def fit(self, model: Any, positions: Any) -> Any:
        """The model, fitted on some of the rows."""
        weights = None if self.weights is None else self.weights[positions]
        return model.fit(_without_empty(self.encoded[positions]), self.truth[positions], sample_weight=weights)


class QuickFitted:
    """One pipeline: an encoder of text and the trees."""

    unavailable: list[str] = []  # noqa: RUF012 - read only
    left_out: dict[str, str] = {}  # noqa: RUF012 - read only
    distributions = ["scikit-learn", "numpy", "pandas", "scipy", "joblib"]  # noqa: RUF012 - read only

    def __init__(self, case: Case, pipeline: Pipeline, growth: Growth, fit_seconds: float) -> None:
        self._case = case
        self._pipeline = pipeline
        self._growth = growth
        self._fit_seconds = fit_seconds
        self._libraries = ThreadpoolController()
        trees = pipeline.named_steps["trees"]
        self.best_model = "HistGradientBoosting"
        chosen = ("learning_rate", "max_iter", "min_samples_leaf", "max_leaf_nodes", "l2_regularization")
        self.hyperparameters = {name: trees.get_params()[name] for name in chosen}

    def answer(self, rows: pd.DataFrame) -> Answers:
        """What the model answers for prepared rows."""
        with self._libraries.limit(limits=_threads(len(rows)), user_api="openmp"):
            return _answer(self._pipeline, rows, self._case)

    def leaderboard(self, rows: pd.DataFrame, truth: npt.NDArray[Any]) -> list[LeaderboardEntry]:
        """The one model."""
        score = self._case.score(truth, self.answer(rows))
        return [LeaderboardEntry(self.best_model, self._growth.validation_score, score, self._fit_seconds)]

    def save(self, folder: Path) -> None:
        """Write the pipeline; it is made of classes of scikit-learn only."""
        joblib.dump(self._pipeline, folder / "model.joblib", compress=3)


class QuickEngine:
    """Fits gradient-boosted trees."""

    def fit(self, case: Case, folder: Path, telling: Telling) -> QuickFitted:  # noqa: ARG002 - it needs no folder
        """Find how many trees are best on validation rows, then fit that many on all rows to learn from.

        Of a large table, the model is the one that was best on validation rows, which it has not learned from.
        """
        started = time.monotonic()
        rows, truth = case.rows(case.split.train)
        encoder = _make_encoder(rows)
        encoded = encoder.fit_transform(rows)
        weights = None if case.weights is None else case.weights[case.split.train]
        trees = _make_trees(case, rows, len(truth))
        with threadpool_limits(_threads(len(truth)), user_api="openmp"):
            growth = _fit(case, trees, Learning(encoded, truth, weights), telling)
        pipeline = Pipeline([("encoder", encoder), ("trees", growth.model)])
        return QuickFitted(case, pipeline, growth, time.monotonic() - started)


def _without_empty(encoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Zeros in columns without a value: scikit-learn fails on those, and parts no rows where all are the same."""
    empty = np.isnan(encoded).all(axis=0)
    return np.where(empty, 0.0, encoded) if empty.any() else encoded


def _threads(rows: int) -> int | None:
    return None if rows >= ROWS_FOR_THREADS else 1


def _make_encoder(rows: pd.DataFrame) -> ColumnTransformer:
    """Text becomes numbers and comes first; the rest stays as it is. The rarest values of a text share a number."""
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=_bins(rows) - 1,
    )
    return ColumnTransformer([("text", ordinal, _texts(rows))], remainder="passthrough")


def _bins(rows: pd.DataFrame) -> int:
    return WIDE_BINS if len(rows.columns) > WIDE_COLUMNS else BINS


def _texts(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows.select_dtypes(object).columns]


def _make_trees(case: Case, rows: pd.DataFrame, row_count: int) -> Any:
    kind = HistGradientBoostingRegressor if case.is_regression else HistGradientBoostingClassifier
    texts = len(_texts(rows)) if row_count >= ROWS_FOR_CATEGORIES else 0
    return kind(
        categorical_features=list(range(texts)),
        max_features=min(1.0, WIDE_COLUMNS / len(rows.columns)),
        max_bins=_bins(rows),
        min_samples_leaf=min(20, max(1, row_count // 20)),
        early_stopping=False,
        random_state=case.seed,
        **({"class_weight": "balanced"} if case.weighing == "balance_weight" and not case.is_regression else {}),
    )


def _most_rounds(case: Case) -> int:
    trees_a_round = len(case.target.classes) if len(case.target.classes) > 2 else 1
    return max(LEAST_ROUNDS, min(ROUNDS, TREES // trees_a_round))


def _fit(case: Case, trees: Any, learning: Learning, telling: Telling) -> Growth:
    growth = Growth(trees, _most_rounds(case), nan)
    count = len(learning.truth)
    if count >= ROWS_TO_VALIDATE:
        split = split_rows(learning.truth, not case.is_regression, VALIDATION_FRACTION, case.seed)
        growth = _watch_growth(case, trees, learning, split, telling)
        if learning.encoded.size > CELLS_TO_REFIT:
            return growth
    telling.train(0.9, f"Fitting {growth.rounds} rounds on all {count:,} rows")
    model = learning.fit(trees.set_params(max_iter=growth.rounds), slice(None))
    return replace(growth, model=model)


def _watch_growth(case: Case, trees: Any, learning: Learning, split: Split, telling: Telling) -> Growth:
    growing = clone(trees).set_params(warm_start=True)
    loss = "rmse" if case.is_regression else "log_loss"
    watched = {"train": split.train[:ROWS_WATCHED], "validation": split.test}
    least, most = np.inf, _most_rounds(case)
    best = Growth(growing, most, nan)
    step = WIDE_ROUNDS_A_STEP if learning.encoded.shape[1] > WIDE_COLUMNS else ROUNDS_A_STEP
    for rounds in range(min(step, most), most + 1, step):
        learning.fit(growing.set_params(max_iter=rounds), split.train)
        for name, positions in watched.items():
            answers = _answer(growing, learning.encoded[positions], case)
            measured = case.measure(learning.truth[positions], answers, {loss, case.score_name})
            for metric, value in measured.items():
                telling.metric(metric, value, rounds, name)
        if measured[loss] < least:
            # A copy: the model grows on.
            score = as_score(case.score_name, measured.get(case.score_name, nan))
            least, best = measured[loss], Growth(deepcopy(growing), rounds, score)
        telling.train(0.9 * rounds / most, f"{rounds} rounds: validation {loss} {measured[loss]:.4g}")
        if rounds - best.rounds >= PATIENCE * step:
            break
    return best


def _answer(model: Any, rows: Any, case: Case) -> Answers:
    if case.is_regression:
        return Answers(model.predict(rows))
    # One pass over the trees: the predicted class is the most probable one.
    probabilities = model.predict_proba(rows)
    return Answers(model.classes_[probabilities.argmax(axis=1)], probabilities)
