"""The parameters of a training on a table."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.training.domain.errors import UnknownEngine
from services.training.workloads.kit import parameters

ENGINES = ("quick", "autogluon")

MetricName = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "roc_auc",
    "roc_auc_ovr",
    "log_loss",
    "r2",
    "rmse",
    "mae",
]


class Parameters(BaseModel):
    """Parameters of the tabular workload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["quick", "autogluon"] = Field(
        default="quick",
        description="quick fits gradient-boosted trees, on small data in a second; autogluon tries and combines many "
        "models within time_limit.",
    )
    time_limit: float = Field(
        default=60, ge=5, le=86400, description="Seconds that autogluon may fit models; quick needs no limit."
    )
    presets: Literal["medium_quality", "good_quality", "high_quality", "best_quality"] = Field(
        default="medium_quality", description="How much autogluon takes on: better presets need more time and space."
    )
    test_fraction: float = Field(
        default=0.2, ge=0.05, le=0.5, description="Share of the rows held out of training, to measure the model on."
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Settles which rows are held out, and every other chance.")
    eval_metric: MetricName | None = Field(
        default=None,
        description="Metric that compares models and gives the score: accuracy for classes and r2 for numbers unless "
        "set. As a score, an error (log_loss, rmse, mae) is negative, so that higher is always better.",
    )


def parse(values: dict[str, Any]) -> Parameters:
    """Parameters with their defaults; BadParameters or UnknownEngine names what is wrong."""
    engine = values.get("engine", "quick")
    if engine not in ENGINES:
        raise UnknownEngine(name=engine, known=", ".join(ENGINES))
    return parameters.parse(Parameters, values)


def used(given: Parameters) -> dict[str, Any]:
    """The parameters that had a say in a training, defaults included."""
    values = given.model_dump(exclude_none=True)
    idle = {"time_limit", "presets"} if given.engine == "quick" else set()
    return {name: value for name, value in values.items() if name not in idle}
