"""The autogluon engine: many models, tried and combined within a time limit."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import joblib
import numpy.typing as npt
import pandas as pd
from autogluon.core.callbacks import AbstractCallback
from autogluon.tabular import TabularPredictor
from networkx import NetworkXError

from services.training.domain.errors import EngineFailed, FitRefused
from services.training.domain.model import LeaderboardEntry
from services.training.workloads.kit.metrics import SCALES, Answers
from services.training.workloads.kit.telling import Telling
from services.training.workloads.kit.wording import shortened
from services.training.workloads.tabular.case import Case
from services.training.workloads.tabular.engines import presets, request
from services.training.workloads.tabular.engines.families import BY_CLASS, FAMILIES, OF_TIME, REASONS, why_left_out

VERBOSITY = 1  # warnings

# Models that are smaller in all stay loaded while they are measured.
LOADED_BYTES = 500_000_000

# Where AutoGluon tries out whether stacking helps, on part of the data: its scores there are not ours.
TRIAL = "ds_sub_fit"

DISTRIBUTIONS = ["autogluon.tabular", "scikit-learn", "numpy", "pandas", "scipy"]

# The name under which rows take their weights along; no column of a table can have it, since names are stripped.
WEIGHT = " weight of the row "

# What AutoGluon raises where it cannot do as it was asked to, and what it says where only time was missing.
REFUSALS = (AssertionError, ValueError, TypeError, KeyError, NetworkXError)
TIME_WAS_OVER = "Not enough time left"
TROUBLE_SHOWN = 300


@dataclass
class Watch:
    """Whom a fit tells how it goes, and the families that have a model by now."""

    telling: Telling
    families: set[str] = field(default_factory=set)


# The callback travels inside AutoGluon's pickles, so whom it tells stays behind, here.
_watches: dict[str, Watch] = {}


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
            self._note_family(trainer, name)
            score = trainer.get_model_attribute(name, "val_score")
            if score is not None:
                _watches[self._name].telling.metric("val_score", float(score), self._fitted, "validation")
                self._tell(f"Fitted {name}: validation score {score:.4g}")
        return False

    def _note_family(self, trainer: Any, name: str) -> None:
        family = BY_CLASS.get(trainer.get_model_attribute(name, "type_inner").__name__)
        if family:
            _watches[self._name].families.add(family)

    def _tell(self, message: str) -> None:
        telling = _watches[self._name].telling
        telling.train((time.monotonic() - telling.started) / self._time_limit, message)


class AutogluonFitted:
    """The models that AutoGluon fitted."""

    def __init__(self, case: Case, predictor: Any, families: set[str]) -> None:
        self._case = case
        self._predictor = predictor
        self.best_model = str(predictor.model_best)
        self.left_out = self._find_left_out(families)
        self.unavailable = [family for family, why in self.left_out.items() if why not in OF_TIME]
        self.hyperparameters = self._describe()
        self.distributions = DISTRIBUTIONS + self._find_libraries()
        if predictor.disk_usage() < LOADED_BYTES:
            # AutoGluon's own look at the memory would take seconds.
            predictor.persist("best", max_memory=None)

    def answer(self, rows: pd.DataFrame) -> Answers:
        """What the best model answers for prepared rows."""
        if self._case.is_regression:
            return Answers(self._predictor.predict(rows, as_pandas=False))
        chances = self._predictor.predict_proba(rows)
        # Of single precision, they would not quite sum to one.
        probabilities = chances[self._case.target.classes].to_numpy("float64")
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return Answers(self._predictor.predict_from_proba(chances).to_numpy(), probabilities)

    def leaderboard(self, rows: pd.DataFrame, truth: npt.NDArray[Any]) -> list[LeaderboardEntry]:
        """Every model that can still predict; those that were fitted again on all rows have no validation score."""
        board = self._predictor.leaderboard(_joined(rows, self._case.target.name, truth))
        board = board[board["can_infer"]].sort_values("score_test", ascending=False, kind="stable")
        columns = board[["model", "score_val", "score_test", "fit_time"]].astype({"score_val": float})
        return [
            LeaderboardEntry(str(model), float(validation), float(test), float(seconds))
            for model, validation, test, seconds in columns.itertuples(index=False)
        ]

    def save(self, folder: Path) -> None:
        """Write what the best model needs to predict, and no more."""
        folder.rmdir()
        self._predictor.clone_for_deployment(str(folder))

    def _find_left_out(self, fitted: set[str]) -> dict[str, str]:
        # Without failures, it has no columns.
        failed = self._predictor.model_failures().reindex(columns=["child_model_type", "model_type", "exc_type"])
        kinds = failed["child_model_type"].fillna(failed["model_type"])
        failures = {
            family: REASONS.get(error, f"it failed ({error})")
            for kind, error in zip(kinds, failed["exc_type"], strict=True)
            if (family := BY_CLASS.get(str(kind)))
        }
        families = presets.families_of(self._predictor.fit_hyperparameters_)
        return why_left_out(request.families_asked(self._case.parameters, families), fitted, failures)

    def _describe(self) -> dict[str, Any]:
        parameters = self._case.parameters
        return {
            "presets": parameters.presets,
            "hyperparameters": presets.hyperparameters_of(parameters),
            "excluded_model_types": parameters.excluded_model_types,
            "left_out": self.left_out,
            "decision_threshold": self._predictor.decision_threshold,
        }

    def _find_libraries(self) -> list[str]:
        """Distributions that the best model needs, through those that it is made of."""
        # A leaderboard would tell it, too, and load every model for it.
        trainer = self._predictor._trainer
        kinds = (
            trainer.get_model_attribute(name, "type_inner") for name in trainer.get_minimum_model_set(self.best_model)
        )
        families = {family for kind in kinds if (family := BY_CLASS.get(kind.__name__))}
        return sorted({_distribution(module) for family in families for module in FAMILIES[family].needs})


class AutogluonEngine:
    """Fits AutoGluon's models."""

    def fit(self, case: Case, folder: Path, telling: Telling) -> AutogluonFitted:
        """Fit within the time limit of the parameters; an EngineFailed or a FitRefused where no model could be
        fitted."""
        _send_logs_on()
        name = case.spec.training_id
        watch = _watches[name] = Watch(telling)
        try:
            predictor = _fit(case, folder)
        finally:
            del _watches[name]
        if not predictor.model_names():
            raise _no_model(case, _failures_of(predictor))
        return AutogluonFitted(case, predictor, watch.families)


def _failures_of(predictor: Any) -> list[str]:
    """What AutoGluon says of models that it could not fit, but for want of time or memory."""
    failed = predictor.model_failures().reindex(columns=["exc_type", "exc_str"])
    return [text for error, text in failed.itertuples(index=False) if error not in REASONS]


def _no_model(case: Case, failures: Sequence[object]) -> EngineFailed | FitRefused:
    """Why there is none: what AutoGluon says of the parameters or the columns, or else that time or rows were few."""
    if failures:
        return FitRefused(engine="autogluon", trouble=shortened(failures[0], TROUBLE_SHOWN).rstrip("."))
    count, seconds = len(case.split.train), case.parameters.time_limit
    trouble = f"{count:,} rows to learn from and {seconds:g} seconds were not enough"
    return EngineFailed(engine="autogluon", trouble=trouble)


def _fit(case: Case, folder: Path) -> Any:
    request.refuse_unavailable(case.parameters, presets.families_of(presets.hyperparameters_of(case.parameters)))
    options = request.fit_options(case.parameters)
    watch = ModelWatch(case.spec.training_id, case.parameters.time_limit)
    predictor, rows = _make_predictor(case, folder), _learning_rows(case)
    try:
        return predictor.fit(
            rows,
            **options,
            callbacks=[watch, *presets.preset_callbacks(case.parameters)],
            raise_on_no_models_fitted=False,
            num_cpus=joblib.cpu_count(),
            # One process: a worker is what is killed and what has limits. Folds in parallel gain nothing on few cores.
            ag_args_ensemble={"fold_fitting_strategy": "sequential_local", "model_random_seed": case.seed},
            ds_args={"memory_safe_fits": False, "enable_ray_logging": False},
            verbosity=VERBOSITY,
        )
    except REFUSALS as error:
        raise _no_model(case, [] if str(error).startswith(TIME_WAS_OVER) else [error]) from error


def _make_predictor(case: Case, folder: Path) -> Any:
    weighing = case.weighing
    return TabularPredictor(
        label=case.target.name,
        problem_type=str(case.target.problem_type),
        eval_metric=SCALES[case.score_name].autogluon,
        path=str(folder / "autogluon"),
        verbosity=VERBOSITY,
        sample_weight=WEIGHT if case.weights is not None else weighing,
        # A class may have a single row.
        learner_kwargs={"label_count_threshold": 1, "random_state": case.seed},
    )


def _learning_rows(case: Case) -> pd.DataFrame:
    rows, truth = case.rows(case.split.train)
    rows = _joined(rows, case.target.name, truth)
    return rows if case.weights is None else _joined(rows, WEIGHT, case.weights[case.split.train])


def _joined(rows: pd.DataFrame, name: str, values: npt.NDArray[Any]) -> pd.DataFrame:
    """Rows with one more column, whatever its name: `assign` has arguments of its own."""
    joined = rows.copy(deep=False)
    joined[name] = values
    return joined


def _send_logs_on() -> None:
    """AutoGluon's log goes where ours goes, not to the terminal."""
    theirs = logging.getLogger("autogluon")
    for handler in list(theirs.handlers):
        theirs.removeHandler(handler)
    theirs.propagate = True
    # It says for every model that torch is missing, which is no error here: TrainingResult.unavailable says it once.
    logging.getLogger("autogluon.common.utils.resource_utils").setLevel(logging.CRITICAL)


def _distribution(module: str) -> str:
    """The distribution that a module came with, which may be another than the usual one: xgboost-cpu, for one."""
    try:
        version(module)
    except PackageNotFoundError:
        return packages_distributions()[module][0]
    return module
