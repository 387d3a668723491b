"""Finds out what the columns of a table are: numbers, booleans, dates or text."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from services.training.workloads.tabular.templates.load_model import BOOLEANS, exact_numbers

LOOK = 200  # values that are looked at before a whole column is

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].*)?")
# Tried in this order: where day and month cannot be told apart, the month comes first with slashes, the day with dots.
DATE_FORMATS = (
    "ISO8601",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
)
DECIMAL_COMMA = r"\s*[+-]?(?:\d+(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?\s*"
GROUPED = r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*"
"""A thousand and more, if the comma is no decimal one."""
NOT_DECIMAL = r"\s*[+-]?(?:\d+,\d*0|\d{3,})\s*"
"""A zero that nobody writes who leaves out the comma of whole numbers; a hundred and more."""

# Text with more values than this, and another in most rows, names rows rather than telling anything about them.
NAMING_VALUES = 50
NAMING_SHARE = 0.5


@dataclass(frozen=True)
class Feature:
    """A column to predict from; format is that of a date, decimal the sign of a number written in text."""

    name: str
    kind: str
    dtype: str
    format: str = ""
    decimal: str = ""
    whole: bool = False
    """Of dates, and of truth that has gaps: the model takes them as they are, and makes numbers of them itself."""
    truth: dict[str, str] = field(default_factory=dict)
    """Of text, how true and false are written in it, where that is not True and False."""

    def as_manifest(self) -> dict[str, Any]:
        """What the package has to know of it."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Columns:
    """The columns to predict from, and those that are not used, each with the reason."""

    features: list[Feature]
    unused: dict[str, str]


def as_numbers(column: "pd.Series[Any]", decimal_comma: bool) -> "pd.Series[Any] | None":
    """A column as numbers, also where they are written with a decimal comma; None where it holds anything else."""
    if pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        return column
    if decimal_comma and has_decimal_commas(column):
        return exact_numbers(column.str.replace(",", ".", regex=False))
    return None


def has_decimal_commas(column: "pd.Series[Any]") -> bool:
    """Whether all values of a text column are numbers such as 1,5; those of 950 and 1,000 are not."""
    values = column.dropna()
    decimal = _all_match(values.head(LOOK), DECIMAL_COMMA) and _all_match(values, DECIMAL_COMMA)
    return decimal and not _are_grouped(values)


def _are_grouped(values: "pd.Series[str]") -> bool:
    """Whether the commas in numbers part thousands. Where each has one before three digits, nobody can tell."""
    with_comma = values.str.contains(",", regex=False)
    if with_comma.all() or not with_comma.any():
        return False
    grouped = values[with_comma].str.fullmatch(GROUPED).all()
    return bool(grouped and values.str.fullmatch(NOT_DECIMAL).any())


def _all_match(values: "pd.Series[Any]", pattern: str) -> bool:
    texts = all(isinstance(value, str) for value in values)
    return bool(len(values) and texts and values.str.fullmatch(pattern).all())


def find_date_format(column: "pd.Series[Any]") -> str:
    """The format that reads every value of a text column as a date, or the empty string."""
    values = column.dropna()
    if not all(isinstance(value, str) and DATE.fullmatch(value.strip()) for value in values.head(LOOK)):
        return ""
    fitting = (name for name in DATE_FORMATS if _reads(values.head(LOOK), name) and _reads(values, name))
    return next(fitting, "")


def _reads(values: "pd.Series[Any]", format_: str) -> bool:
    return bool(pd.to_datetime(values, format=format_, errors="coerce", utc=True).notna().all())


def describe_columns(frame: pd.DataFrame, decimal_comma: bool, raw: bool) -> Columns:
    """Settle what each column is. Columns that cannot tell anything are not used. A model that takes them raw makes of
    dates what it likes; for any other they are taken apart, and text that is another in most rows is left out."""
    features: list[Feature] = []
    unused: dict[str, str] = {}
    empty, constant = _say_nothing(frame)
    for name in frame.columns.difference([*empty, *constant], sort=False):
        feature = _describe(frame[name], decimal_comma, raw)
        if not raw and feature.kind == "category" and _names_rows(frame[name]):
            unused[name] = "it is text that differs in most rows"
        else:
            features.append(feature)
    unused |= dict.fromkeys(sorted(empty), "it is empty")
    unused |= dict.fromkeys(sorted(constant), "it has one value only")
    return Columns(features, unused)


def _say_nothing(frame: pd.DataFrame) -> tuple[set[str], set[str]]:
    """Names of columns without a value, and of those with one value in all rows."""
    floats = frame.select_dtypes("float")
    finite = np.isfinite(floats.to_numpy()).any(axis=0)  # infinite values are prepared as missing
    empty = set(frame.columns[frame.isna().all()]) | set(floats.columns[~finite])
    full = frame.loc[:, frame.notna().all()]
    same = (full == full.iloc[0]).all()
    return empty, set(full.columns[same]) - empty


def _names_rows(column: "pd.Series[Any]") -> bool:
    distinct = column.nunique()
    return distinct > NAMING_VALUES and distinct > NAMING_SHARE * column.count()


def _describe(column: "pd.Series[Any]", decimal_comma: bool, raw: bool) -> Feature:
    name, dtype = str(column.name), str(column.dtype)
    if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return Feature(name, "boolean", dtype, whole=raw and bool(column.isna().any()))
    if pd.api.types.is_numeric_dtype(column):
        return Feature(name, "number", dtype)
    if decimal_comma and has_decimal_commas(column):
        return Feature(name, "number", dtype, decimal=",")
    date_format = find_date_format(column)
    if date_format:
        return Feature(name, "date", dtype, format=date_format, whole=raw)
    return Feature(name, "category", dtype, truth=_truth_in(column))


def _truth_in(column: "pd.Series[Any]") -> dict[str, str]:
    """How true and false are written in text, the most usual way of each, by the way Python writes them."""
    usual = [value for value in column.value_counts().index if isinstance(value, str)]
    found = {value.strip().title(): value for value in reversed(usual) if value.strip().lower() in BOOLEANS}
    return {plain: value for plain, value in found.items() if plain != value}
