"""What is in a dataset, a table or an archive."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from services.training.domain.model import TableFormat

Scalar = str | int | float
PROBABILITIES = (0.25, 0.5, 0.75)


class ColumnKind(StrEnum):
    """What the values of a column are, all of them."""

    EMPTY = "empty"
    NUMBER = "number"
    TRUTH = "truth"
    TIME = "time"
    TEXT = "text"


@dataclass(frozen=True)
class Quantile:
    """The value below which a part of the values lie; the part is between 0 and 1."""

    probability: float
    value: Scalar


@dataclass(frozen=True)
class ValueCount:
    """A value, and the rows that have it."""

    value: str
    count: int


@dataclass(frozen=True)
class Statistics:
    """What the values of one column are like. Least, greatest and mean are of numbers and times only.

    A whole number beyond 2^53 and an infinity are texts, as times are; what is no number at all is None.
    """

    kind: ColumnKind = ColumnKind.EMPTY
    least: Scalar | None = None
    greatest: Scalar | None = None
    mean: Scalar | None = None
    quantiles: list[Quantile] = field(default_factory=list)
    quantiles_estimated: bool = False
    top_values: list[ValueCount] = field(default_factory=list)
    top_values_error: int = 0
    """By how many rows a count of top_values may be too low; 0 when they are exact."""


@dataclass(frozen=True)
class Column:
    """What is known of one column; dtype as a data-frame user names it, the missing value not counted as a value."""

    name: str
    dtype: str
    null_count: int
    unique_count: int
    unique_count_estimated: bool = False
    statistics: Statistics = field(default_factory=Statistics)


@dataclass(frozen=True)
class ArchiveFolder:
    """A folder of an archive, and the images in it."""

    path: str
    image_count: int


@dataclass(frozen=True)
class ArchiveContents:
    """What an archive lists: its files, and those of them that are images or may tell of images."""

    file_count: int
    image_count: int
    unpacked_size: int
    folders: list[ArchiveFolder]
    documents: list[str]


@dataclass(frozen=True)
class Inspection:
    """What is in a dataset: a table, of which values of the sample are strings, numbers, booleans or None, or else an
    archive."""

    format: TableFormat
    columns: list[Column]
    row_count: int
    sample: list[dict[str, Any]]
    archive: ArchiveContents | None = None
