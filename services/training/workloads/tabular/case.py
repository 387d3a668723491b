"""Settles a training from its spec and its data: one path for checking and for training."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.training.domain import errors
from services.training.domain.model import ProblemType, TrainingPlan, TrainingSpec
from services.training.workloads.kit.metrics import (
    Answers,
    as_score,
    default_metric,
    defined_metrics,
    measure,
    metrics_for,
)
from services.training.workloads.kit.parts import is_installed
from services.training.workloads.kit.splitting import Split, split_rows
from services.training.workloads.tabular.columns import Columns, as_numbers, describe_columns
from services.training.workloads.tabular.parameters import WEIGHINGS, Parameters, parse, wrong
from services.training.workloads.tabular.reading import Table, read_table
from services.training.workloads.tabular.target import Target, settle_target
from services.training.workloads.tabular.templates.load_model import prepare
from services.training.workloads.tabular.workload import PARTS


@dataclass(frozen=True)
class Case:
    """A training, settled: what is learned from what, on which rows, measured how."""

    spec: TrainingSpec
    parameters: Parameters
    table: Table
    target: Target
    columns: Columns
    split: Split
    score_name: str
    weights: npt.NDArray[np.float64] | None = None
    """What each row with a target weighs in learning, where a column says so."""

    @property
    def plan(self) -> TrainingPlan:
        """What it comes to, for the caller."""
        return TrainingPlan(
            target=self.target.name,
            problem_type=self.target.problem_type,
            row_count=len(self.target.values),
            feature_count=len(self.columns.features),
            engine=self.parameters.engine,
        )

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted."""
        return self.target.problem_type is ProblemType.REGRESSION

    @property
    def seed(self) -> int:
        """What settles every chance."""
        return self.parameters.seed

    @property
    def weighing(self) -> str | None:
        """How rows are weighed where no column says it, as AutoGluon calls it."""
        return self.parameters.sample_weight if self.weights is None else None

    def rows(self, positions: npt.NDArray[np.int64]) -> tuple[pd.DataFrame, npt.NDArray[Any]]:
        """Columns to predict from, ready for a model, and the true answers, of some of the rows."""
        answers = self.target.values.iloc[positions]
        features = [feature.as_manifest() for feature in self.columns.features]
        return prepare(self.table.frame.loc[answers.index], features), answers.to_numpy()

    def measure(
        self, truth: npt.NDArray[Any], answers: Answers, only: Collection[str] | None = None
    ) -> dict[str, float]:
        """All metrics that some rows define, by name, or only some of them."""
        return measure(self.target.problem_type, truth, answers, self.target.classes, only)

    def score(self, truth: npt.NDArray[Any], answers: Answers) -> float:
        """The score of answers for some rows; NaN where they do not define it."""
        measured = self.measure(truth, answers, [self.score_name])
        return as_score(self.score_name, measured.get(self.score_name, np.nan))


def settle(spec: TrainingSpec, data: Path) -> Case:
    """Settle a training; an InvalidInput names what is wrong with what was asked, a NotReady what is missing."""
    parameters = parse(spec.parameters)
    if not is_installed(PARTS[parameters.engine]):
        raise errors.EngineUnavailable(engine=parameters.engine, package=f"{PARTS[parameters.engine]}")
    parameters = _settle_parameters(parameters)
    table = read_table(data, spec.dataset.format)
    target = settle_target(table, spec.target, spec.problem_type)
    weights = _settle_weights(table, target, parameters)
    columns = _settle_columns(table, target, parameters)
    classes = target.problem_type is not ProblemType.REGRESSION
    split = split_rows(target.values.to_numpy(), classes, parameters.test_fraction, parameters.seed)
    score_name = _settle_metric(target, split, parameters)
    return Case(spec, parameters, table, target, columns, split, score_name, weights)


def _settle_parameters(parameters: Parameters) -> Parameters:
    if parameters.engine != "autogluon":
        return parameters
    from services.training.workloads.tabular.engines import request

    return request.settle(parameters)


def _settle_columns(table: Table, target: Target, parameters: Parameters) -> Columns:
    weight = parameters.sample_weight if parameters.sample_weight in table.frame.columns else None
    rows = table.frame.loc[target.values.index].drop(columns=[target.name] + [weight] * (weight is not None))
    columns = describe_columns(rows, table.decimal_comma, raw=parameters.engine == "autogluon")
    if not columns.features:
        raise errors.NoFeatures(target=target.name)
    if weight is not None:
        columns.unused[weight] = "it is what the rows weigh"
    return columns


def _settle_weights(table: Table, target: Target, parameters: Parameters) -> npt.NDArray[np.float64] | None:
    name = parameters.sample_weight
    if name is None or name in WEIGHINGS:
        return None
    if name not in table.frame.columns or name == target.name:
        raise wrong(f"sample_weight: {name!r} is no column besides the target, nor one of {', '.join(WEIGHINGS)}")
    numbers = as_numbers(table.frame.loc[target.values.index, name], table.decimal_comma)
    weights = None if numbers is None else numbers.to_numpy("float64", na_value=np.nan)
    if weights is None or not np.isfinite(weights).all() or (weights <= 0).any():
        raise wrong(f"sample_weight: the column {name!r} has to hold a number above 0 in every row")
    return weights


def _settle_metric(target: Target, split: Split, parameters: Parameters) -> str:
    asked = parameters.eval_metric
    suitable = metrics_for(target.problem_type)
    defined = defined_metrics(target.problem_type, target.values.to_numpy()[split.test], target.classes)
    if asked is None:
        return default_metric(target.problem_type, len(target.values), defined)
    if asked not in suitable:
        why = f"it does not measure a {target.problem_type} problem"
        raise errors.UnfitMetric(metric=asked, why=why, known=", ".join(defined))
    if asked not in defined:
        why = f"the {len(split.test)} held-out rows do not have the values that it compares"
        raise errors.UnfitMetric(metric=asked, why=why, known=", ".join(defined))
    return asked
