"""The tabular workload as the service knows it. What it trains with is imported when it trains, in the worker."""

from pathlib import Path
from typing import Any

from services.training.domain.model import Resources, TrainingPlan, TrainingResult, TrainingSpec
from services.training.domain.ports import PackagedModel, Reporter
from services.training.workloads.kit.parts import sort_out
from services.training.workloads.tabular.parameters import Parameters

# Part to the module that proves it is installed.
PARTS = {
    "quick": "sklearn",
    "autogluon": "autogluon.tabular",
    "catboost": "catboost",
    "fastai": "fastai",
    "lightgbm": "lightgbm",
    "torch": "torch",
    "xgboost": "xgboost",
}


class TabularWorkload:
    """Learns from a table to predict one of its columns: classes or numbers."""

    name = "tabular"
    description = "Learns from a CSV table to predict one of its columns: a class or a number."
    inputs = ("table",)
    outputs = ("binary", "multiclass", "regression")

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema (2020-12) of the parameters."""
        return Parameters.model_json_schema()

    def availability(self) -> tuple[list[str], list[str]]:
        """Names of the engines and libraries that are installed here, and of those that are not."""
        return sort_out(PARTS)

    def resources(self, parameters: dict[str, Any]) -> Resources:
        """The quick engine is content with one processor; autogluon makes use of more."""
        return Resources(cpus=2 if parameters.get("engine") == "autogluon" else 1)

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        """Settle target, problem type and engine; an InvalidInput or NotReady where it cannot be."""
        from services.training.workloads.tabular.case import settle

        return settle(spec, data).plan

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        """Train, measure on the held-out rows, and write the package to `folder / "artifact.zip"`."""
        from services.training.workloads.tabular.training import train

        return train(spec, data, folder, report)

    def load(self, package: Path, manifest: dict[str, Any]) -> PackagedModel:
        """The model of an unpacked package."""
        from services.training.workloads.tabular.serving import load_model

        return load_model(package, manifest)
