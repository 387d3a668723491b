"""How values that a model cannot take are refused, whatever they were written in."""

import json
from typing import Any

import numpy as np

from services.training.domain import errors
from services.training.workloads.kit.wording import shortened

# What a value of a kind of column has to be, for people.
KINDS = {"number": "number", "boolean": "truth value (true or false)", "date": "date as in the training data"}


def refuse(row: int, feature: dict[str, Any], shown: str) -> None:
    """Refuse a value of a row, counted from 1."""
    kind = KINDS.get(feature["kind"], "text")
    raise errors.BadValue(row=row, column=feature["name"], value=shortened(shown), kind=kind)


def written(value: Any) -> str:
    """A value as it was sent: text in quotes, and anything else as in JSON."""
    plain = value.item() if isinstance(value, np.generic) else value
    return repr(plain) if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=str)
