"""Settles what is to be predicted: the column, its values, and the kind of answer."""

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from services.training.domain import errors
from services.training.domain.model import ProblemType
from services.training.domain.sniffing import MINIMUM_ROWS
from services.training.workloads.kit.wording import shortened
from services.training.workloads.tabular.columns import as_numbers
from services.training.workloads.tabular.reading import Table

NAMES_SHOWN = 10

# Whole numbers are classes rather than amounts when they are few, and each comes up again and again.
MAXIMUM_NUMERIC_CLASSES = 20
FEW_CLASSES = 10
SHARE_OF_ROWS = 0.05

MAXIMUM_CLASSES = 1000

# Classes travel to the caller as JSON has them, whose numbers are doubles: further out, two become one.
EXACT_INTEGERS = 2**53

# A result tells up to four times what its classes are called, and a message of gRPC holds 4 MiB.
CLASS_CHARACTERS, CLASSES_CHARACTERS = 500, 100_000

# Trees and networks reckon in single precision, which ends at 3e38, and LightGBM takes less than 1e-35 for zero.
LARGEST_AMOUNT, SMALLEST_SPREAD = 1e37, 1e-30


@dataclass(frozen=True)
class Target:
    """What is to be predicted: its values in the rows that have one, and for classes all of them in order."""

    name: str
    problem_type: ProblemType
    values: "pd.Series[Any]"
    classes: list[Any]


def settle_target(table: Table, name: str, wanted: ProblemType | None) -> Target:
    """Find the target column, or take the last; an InvalidInput where it cannot be learned."""
    name = _find(table.frame, name.strip())
    column = table.frame[name]
    numbers = as_numbers(column, table.decimal_comma)
    values = _exact(table, name, _known(column if numbers is None else numbers))
    if len(values) < MINIMUM_ROWS:
        which = f"with a value in the target column {name!r}"
        raise errors.TooFewRows(found=len(values), which=which, minimum=MINIMUM_ROWS)
    distinct = values.nunique()
    if distinct == 1:
        raise errors.OneClass(target=name, value=shortened(values.iloc[0]))
    problem_type = _settle_problem(name, values, wanted, distinct)
    if problem_type is ProblemType.REGRESSION:
        return Target(name, problem_type, _as_amounts(name, values), [])
    labels = _as_labels(values)
    classes = sorted(labels.unique().tolist())
    _check_lengths(name, [label for label in classes if isinstance(label, str)])
    return Target(name, problem_type, labels, classes)


def _find(frame: pd.DataFrame, name: str) -> str:
    names = [str(column) for column in frame.columns]
    if not name:
        return names[-1]
    if name not in names:
        raise errors.TargetNotFound(target=name, suggestion=_suggest(name, names))
    return name


def _suggest(name: str, names: list[str]) -> str:
    folded = {known.casefold(): known for known in names}
    close = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3)]
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    rest = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return f"The columns are {', '.join(map(repr, names[:NAMES_SHOWN]))}{rest}."


def _known(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values that are there; infinity is not a value that could be learned."""
    if pd.api.types.is_float_dtype(values):
        values = values.replace([np.inf, -np.inf], np.nan)
    return values[values != ""].dropna()  # pandas leaves gaps empty among whole numbers from 2^63 on


def _exact(table: Table, name: str, values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values as they are written where they are whole numbers that a double cannot hold: of whole numbers with gaps
    between them pandas makes doubles."""
    if not pd.api.types.is_float_dtype(values) or not (values.abs() > EXACT_INTEGERS).any():
        return values
    try:
        return table.as_written(name)[values.index].astype("int64")
    except (ValueError, OverflowError):  # some are no whole numbers, or beyond 2^63, where amounts are meant
        return values


def _settle_problem(name: str, values: "pd.Series[Any]", wanted: ProblemType | None, distinct: int) -> ProblemType:
    problem_type = wanted or detect_problem(values)
    if problem_type is ProblemType.REGRESSION:
        return problem_type
    if wanted is ProblemType.BINARY and distinct != 2:
        raise errors.NotBinary(target=name, classes=f"{distinct:,}")
    # Half of the rows at most: with more classes than that, most are seen once and never measured.
    if distinct > min(MAXIMUM_CLASSES, max(2, len(values) // 2)) or values.value_counts().iloc[0] < 2:
        raise errors.TooManyClasses(target=name, classes=f"{distinct:,}", rows=f"{len(values):,}")
    return ProblemType.BINARY if distinct == 2 else ProblemType.MULTICLASS


def detect_problem(values: "pd.Series[Any]") -> ProblemType:
    """The kind of answer that values call for: text and two values are classes, and so are a few whole numbers."""
    distinct = values.nunique()
    if distinct == 2:
        return ProblemType.BINARY
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return ProblemType.MULTICLASS
    few = distinct <= min(MAXIMUM_NUMERIC_CLASSES, max(FEW_CLASSES, SHARE_OF_ROWS * len(values)))
    whole = bool((values == values.round()).all())
    return ProblemType.MULTICLASS if whole and few and distinct * 2 <= len(values) else ProblemType.REGRESSION


def _as_amounts(name: str, values: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna()]
    if len(wrong):
        raise errors.TargetNotNumeric(target=name, example=shortened(wrong.iloc[0]))
    amounts = numbers.astype("float64")
    _check_sizes(name, amounts)
    return amounts


def _check_sizes(name: str, amounts: "pd.Series[float]") -> None:
    largest = amounts.abs().max()
    if largest > LARGEST_AMOUNT:
        raise errors.TargetTooLarge(target=name, largest=f"{largest:g}", limit=f"{LARGEST_AMOUNT:g}")
    spread = amounts.max() - amounts.min()
    if spread < SMALLEST_SPREAD:
        raise errors.TargetTooFine(target=name, spread=f"{spread:g}", limit=f"{SMALLEST_SPREAD:g}")


def _as_labels(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Whole numbers stay numbers as far as doubles tell them apart; everything else becomes the text of it."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not (numeric and bool((values == values.round()).all())):
        return values.astype(str)
    if values.max() > EXACT_INTEGERS or values.min() < -EXACT_INTEGERS:
        return values.map(lambda value: str(int(value)))
    return values.astype("int64")


def _check_lengths(name: str, labels: list[str]) -> None:
    longest = max(labels, key=len, default="")
    if len(longest) > CLASS_CHARACTERS:
        length, limit = f"{len(longest):,}", f"{CLASS_CHARACTERS:,}"
        raise errors.ClassTooLong(target=name, label=shortened(longest), length=length, limit=limit)
    if sum(map(len, labels)) > CLASSES_CHARACTERS:
        length, limit = f"{sum(map(len, labels)):,}", f"{CLASSES_CHARACTERS:,}"
        raise errors.ClassesTooLong(target=name, classes=f"{len(labels):,}", length=length, limit=limit)
