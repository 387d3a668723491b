"""Reads a workload's parameters."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.training.domain.errors import BadParameters

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def parse(kind: type[AnyModel], values: dict[str, Any]) -> AnyModel:
    """Parameters with their defaults; BadParameters names what is wrong and what there is."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        trouble = "; ".join(_describe(kind, ".".join(map(str, item["loc"])), item["msg"]) for item in error.errors())
        raise BadParameters(trouble=trouble, known=", ".join(kind.model_fields)) from error


def _describe(kind: type[BaseModel], name: str, message: str) -> str:
    if name.partition(".")[0] not in kind.model_fields:
        return f"{name!r} is not one of them"
    message = message.removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"
