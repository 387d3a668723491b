"""The autogluon engine: many models, tried and combined within a time limit."""

import logging
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy.typing as npt
import pandas as pd
from autogluon.core.callbacks import AbstractCallback
from autogluon.tabular import TabularPredictor

from services.training.domain.errors import EngineFailed
from services.training.domain.model import LeaderboardEntry
from services.training.workloads.kit.telling import Telling
from services.training.workloads.tabular.case import Case
from services.training.workloads.tabular.metrics import SCALES, Answers

# Random forests fill the package with hundreds of megabytes and seldom win.
EXCLUDED = ["RF", "XT"]

VERBOSITY = 1  # warnings

# Where AutoGluon tries out whether stacking helps, on part of the data: its scores there are not ours.
TRIAL = "ds_sub_fit"


@dataclass(frozen=True)
class Family:
    """A family of models as AutoGluon's presets name it, and the distributions it needs."""

    name: str
    needs: tuple[str, ...]


# The families that every preset asks for, by the class that fits them.
FAMILIES = {
    "LGBModel": Family("GBM", ("lightgbm",)),
    "CatBoostModel": Family("CAT", ("catboost",)),
    "XGBoostModel": Family("XGB", ("xgboost",)),
    "NNFastAiTabularModel": Family("FASTAI", ("torch", "fastai")),
    "TabularNeuralNetTorchModel": Family("NN_TORCH", ("torch",)),
}
DISTRIBUTIONS = ["autogluon.tabular", "scikit-learn", "numpy", "pandas", "scipy"]

# The callback travels inside AutoGluon's pickles, so whom it tells stays behind, here.
_listeners: dict[str, Telling] = {}


class ModelWatch(AbstractCallback):  # type: ignore[misc]
    """Tells of each model before and after it is fitted."""

    def __init__(self, name: str, time_limit: float) -> None:
        super().__init__()
        self._name = name
        self._time_limit = time_limit
        self._fitted = 0

    def _before_model_fit(
        self, trainer: Any, model: Any, time_limit: float | None = None, **_place: Any
    ) -> tuple[bool, bool]:
        # A model without time left is passed over at once, and there are dozens of those.
        if time_limit is None or time_limit > 0:
            doing = "Trying whether stacking helps" if TRIAL in str(trainer.path) else "Fitting"
            self._tell(f"{doing}: {model.name}")
        return False, False

    def _after_model_fit(self, trainer: Any, model_names: list[str], **_place: Any) -> bool:
        for name in model_names if TRIAL not in str(trainer.path) else ():
            self._fitted += 1
            score = trainer.get_model_attribute(name, "val_score")
            if score is not None:
                _listeners[self._name].metric("val_score", float(score), self._fitted, "validation")
                self._tell(f"Fitted {name}: validation score {score:.4g}")
        return False

    def _tell(self, message: str) -> None:
        listener = _listeners[self._name]
        listener.train((time.monotonic() - listener.started) / self._time_limit, message)


class AutogluonFitted:
    """The models that AutoGluon fitted."""

    def __init__(self, case: Case, predictor: Any) -> None:
        self._case = case
        self._predictor = predictor
        self.best_model = str(predictor.model_best)
        self.hyperparameters = {"presets": case.parameters.presets, "excluded_model_types": EXCLUDED}
        self.unavailable = find_unavailable()
        self.distributions = DISTRIBUTIONS + _find_libraries(predictor)

    def answer(self, rows: pd.DataFrame) -> Answers:
        """What the best model answers for prepared rows."""
        if self._case.is_regression:
            return Answers(self._predictor.predict(rows, as_pandas=False))
        # Of single precision, they would not quite sum to one.
        probabilities = self._predictor.predict_proba(rows)[self._case.target.classes].to_numpy("float64")
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return Answers(self._predictor.predict(rows, as_pandas=False), probabilities)

    def leaderboard(self, rows: pd.DataFrame, truth: npt.NDArray[Any]) -> list[LeaderboardEntry]:
        """Every model that can still predict; those that were fitted again on all rows have no validation score."""
        board = self._predictor.leaderboard(rows.assign(**{self._case.target.name: truth}))
        board = board[board["can_infer"]].sort_values("score_test", ascending=False, kind="stable")
        columns = board[["model", "score_val", "score_test", "fit_time"]].astype({"score_val": float})
        return [
            LeaderboardEntry(str(model), float(validation), float(test), float(seconds))
            for model, validation, test, seconds in columns.itertuples(index=False)
        ]

    def save(self, folder: Path) -> None:
        """Write what predicting needs, and no more."""
        folder.rmdir()
        self._predictor.clone_for_deployment(str(folder))


class AutogluonEngine:
    """Fits AutoGluon's models."""

    def fit(self, case: Case, folder: Path, telling: Telling) -> AutogluonFitted:
        """Fit within the time limit of the parameters; an EngineFailed where no model could be fitted."""
        _send_logs_on()
        rows, truth = case.rows(case.split.train)
        name = case.spec.training_id
        _listeners[name] = telling
        trouble = f"{len(truth):,} rows to learn from and {case.parameters.time_limit:g} seconds were not enough"
        try:
            predictor = _fit(case, rows.assign(**{case.target.name: truth}), folder)
        except AssertionError as error:  # so AutoGluon says that its time was over before the first model
            raise EngineFailed(engine="autogluon", trouble=trouble) from error
        finally:
            del _listeners[name]
        if not predictor.model_names():
            raise EngineFailed(engine="autogluon", trouble=trouble)
        return AutogluonFitted(case, predictor)


def _fit(case: Case, rows: pd.DataFrame, folder: Path) -> Any:
    parameters = case.parameters
    predictor = TabularPredictor(
        label=case.target.name,
        problem_type=str(case.target.problem_type),
        eval_metric=SCALES[case.score_name].autogluon,
        path=str(folder / "autogluon"),
        verbosity=VERBOSITY,
        # A class may have a single row.
        learner_kwargs={"label_count_threshold": 1},
    )
    return predictor.fit(
        rows,
        time_limit=parameters.time_limit,
        presets=parameters.presets,
        excluded_model_types=EXCLUDED + find_unavailable(),
        verbosity=VERBOSITY,
        raise_on_no_models_fitted=False,
        num_cpus=joblib.cpu_count(),
        callbacks=[ModelWatch(case.spec.training_id, parameters.time_limit)],
    )


def _send_logs_on() -> None:
    """AutoGluon's log goes where ours goes, not to the terminal."""
    theirs = logging.getLogger("autogluon")
    for handler in list(theirs.handlers):
        theirs.removeHandler(handler)
    theirs.propagate = True
    # It says for every model that torch is missing, which is no error here: TrainingResult.unavailable says it once.
    logging.getLogger("autogluon.common.utils.resource_utils").setLevel(logging.CRITICAL)


def find_unavailable() -> list[str]:
    """Names of the families that presets ask for and that lack a library here."""
    missing = (family for family in FAMILIES.values() if not all(map(find_spec, family.needs)))
    return sorted(family.name for family in missing)


def _find_libraries(predictor: Any) -> list[str]:
    """Distributions that the fitted models need; a bagged model needs those of the models in it."""
    board = predictor.leaderboard(extra_info=True)
    kinds = {*board["model_type"], *board["child_model_type"]}
    return sorted({library for kind in kinds if kind in FAMILIES for library in FAMILIES[kind].needs})
