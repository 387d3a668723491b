"""Reads a workload's parameters, and declares those that workloads on images share."""

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from services.training.domain.errors import BadParameters

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class ImageParameters(BaseModel):
    """What every workload takes that learns from images, epoch after epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Most times that every image is learned from; 0 settles it by their number.",
    )
    test_fraction: float = Field(
        default=0.2,
        ge=0.05,
        le=0.5,
        description="Share of the images held out of training, to measure the model on, unless the archive parts them.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Settles which images are held out, and every other chance."
    )
    mixed_precision: bool = Field(
        default=True, description="Compute with 16 bits where it does no harm; on graphics processors only."
    )


def parse(kind: type[AnyModel], values: dict[str, Any]) -> AnyModel:
    """Parameters with their defaults; BadParameters names what is wrong and what there is."""
    fields = {_given_as(name, field): field for name, field in kind.model_fields.items()}
    known = ", ".join(fields)
    if wrong := [
        name for name, value in values.items() if name in fields and _is_truth_for_number(value, fields[name])
    ]:
        raise BadParameters(trouble=f"{wrong[0]}: it should be a number, not true or false", known=known)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise BadParameters(trouble="; ".join(map(_describe, error.errors())), known=known) from error


def _is_truth_for_number(value: object, field: FieldInfo) -> bool:
    """Whether a number is wanted and true or false is given, which for pydantic are 1 and 0."""
    taken = {field.annotation, *get_args(field.annotation)}
    return isinstance(value, bool) and bool not in taken and not taken.isdisjoint({int, float})


def _describe(item: ErrorDetails) -> str:
    name = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
        return f"{name!r} is not one of them"
    message = item["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    return f"{name}: {message}" if name else message  # none, where it is about several together


def _given_as(name: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else name
