"""The parameters of a training on a table."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.training.domain.errors import BadParameters, UnknownEngine
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

Name = Annotated[str, Field(min_length=1, max_length=100)]
Options = dict[str, Any]

# AutoGluon's own names for two ways of weighing rows; any other value of sample_weight is a column.
WEIGHINGS = ("auto_weight", "balance_weight")

# What the quick engine has no use for. The first two it passes over, so that a form may always send them; to ask for
# any of the others is to ask for the other engine.
PASSED_OVER = {"time_limit", "presets"}


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
    presets: Name | Annotated[list[Name], Field(min_length=1, max_length=8)] = Field(
        default="medium_quality",
        description="How much autogluon takes on, by a name of AutoGluon's or several, of which the later go first: "
        "medium_quality, good_quality, high_quality, best_quality, interpretable, optimize_for_deployment, "
        "ignore_text and the others that it knows, or an alias such as best.",
    )
    test_fraction: float = Field(
        default=0.2, ge=0.05, le=0.5, description="Share of the rows held out of training, to measure the model on."
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Settles which rows are held out, and every other chance.")
    eval_metric: MetricName | None = Field(
        default=None,
        description="Metric that compares models and gives the score: accuracy for classes and r2 for numbers unless "
        "set, or rmse where there are fewer than 20 rows. As a score, an error (log_loss, rmse, mae) is negative, so "
        "that higher is always better.",
    )
    sample_weight: Name | None = Field(
        default=None,
        description="Column with the weight of each row, which is then not predicted from; balance_weight gives all "
        "classes the same weight. The metrics count every held-out row once.",
    )
    hyperparameters: Name | dict[Name, Options | Annotated[list[Options], Field(min_length=1)]] | None = Field(
        default=None,
        description="autogluon: which families of models to fit with what, as {family: options} or {family: [options, "
        "…]}, or a name of AutoGluon's such as default, light, very_light or zeroshot. Families go by their key "
        "(NN_TORCH) or name (NeuralNetTorch).",
    )
    included_model_types: list[Name] | None = Field(
        default=None, min_length=1, description="autogluon: the only families to fit."
    )
    excluded_model_types: list[Name] | None = Field(
        default=None,
        description="autogluon: families not to fit; RF and XT, which make large packages, unless this, "
        "hyperparameters or included_model_types is set.",
    )
    num_bag_folds: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="autogluon: folds of bagging, 0 for none or from 2 on; as presets if unset.",
    )
    num_bag_sets: int | None = Field(default=None, ge=1, le=20, description="autogluon: repeats of bagging.")
    num_stack_levels: int | None = Field(default=None, ge=0, le=3, description="autogluon: levels of stacking.")
    auto_stack: bool | None = Field(default=None, description="autogluon: settles bagging and stacking from the data.")
    dynamic_stacking: bool | Literal["auto"] | None = Field(
        default=None, description="autogluon: tries on part of the data whether stacking helps."
    )
    holdout_frac: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="autogluon: share of the learning rows that compare models, without bagging.",
    )
    use_bag_holdout: bool | None = Field(
        default=None, description="autogluon: compares on a holdout with bagging, too."
    )
    refit_full: bool | Name | None = Field(
        default=None,
        description="autogluon: fits models again on all learning rows: true, best, all or the name of a model. The "
        "held-out rows stay out.",
    )
    set_best_to_refit_full: bool | None = Field(default=None, description="autogluon: uses the model fitted again.")
    fit_weighted_ensemble: bool | None = Field(default=None, description="autogluon: combines the models at the end.")
    calibrate: bool | Literal["auto"] | None = Field(default=None, description="autogluon: calibrates probabilities.")
    calibrate_decision_threshold: bool | Literal["auto"] | None = Field(
        default=None, description="autogluon: finds the probability from which on the answer is the last class."
    )
    keep_only_best: bool | None = Field(
        default=None,
        description="autogluon: removes other models after fitting, so that the leaderboard has only these.",
    )
    save_space: bool | None = Field(default=None, description="autogluon: removes what only inspecting models needs.")

    @field_validator("presets", mode="before")
    @classmethod
    def _check_presets(cls, value: Any) -> Any:
        if not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(each, str) for each in value)
        ):
            raise ValueError("Give the name of a preset, or a list of such names")
        return value

    @field_validator("hyperparameters", mode="before")
    @classmethod
    def _check_hyperparameters(cls, value: Any) -> Any:
        options = value.values() if isinstance(value, dict) else []
        whole = all(
            isinstance(each, dict) for option in options for each in (option if isinstance(option, list) else [option])
        )
        if value is not None and not (isinstance(value, str) or (isinstance(value, dict) and value and whole)):
            raise ValueError("Give a name, or {family: options} or {family: [options, …]}, where options is an object")
        return value

    @field_validator("num_bag_folds")
    @classmethod
    def _check_folds(cls, value: int | None) -> int | None:
        if value == 1:
            raise ValueError("One fold would be no bagging; give 0, or 2 and more")
        return value


OF_AUTOGLUON = {
    name for name, field in Parameters.model_fields.items() if str(field.description).startswith("autogluon:")
}
# These are arguments of AutoGluon's fit as they are.
FIT_OPTIONS = tuple(
    name
    for name in Parameters.model_fields
    if name in OF_AUTOGLUON - {"hyperparameters", "included_model_types", "excluded_model_types"}
)


def parse(values: dict[str, Any]) -> Parameters:
    """Parameters with their defaults; BadParameters or UnknownEngine names what is wrong."""
    engine = values.get("engine", "quick")
    if engine not in ENGINES:
        raise UnknownEngine(name=engine, known=", ".join(ENGINES))
    given = parameters.parse(Parameters, values)
    if given.engine == "quick":
        _refuse_idle(given)
    return given


def _refuse_idle(given: Parameters) -> None:
    idle = [name for name in Parameters.model_fields if name in OF_AUTOGLUON and getattr(given, name) is not None]
    if idle:
        are = "is a parameter" if len(idle) == 1 else "are parameters"
        raise wrong(f"{', '.join(idle)} {are} of engine 'autogluon', and this is engine 'quick'")


def wrong(trouble: str) -> BadParameters:
    """An error that tells what is wrong with the parameters, and which there are."""
    return BadParameters(trouble=trouble, known=", ".join(Parameters.model_fields))


def used(given: Parameters) -> dict[str, Any]:
    """The parameters that had a say in a training, defaults included."""
    values = given.model_dump(exclude_none=True)
    idle = PASSED_OVER if given.engine == "quick" else set()
    return {name: value for name, value in values.items() if name not in idle}
