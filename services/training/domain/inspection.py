"""Tells what is in a table: from its first bytes, or from the whole stored dataset."""

from dataclasses import dataclass
from typing import Any

from services.training.domain.model import TableFormat


@dataclass(frozen=True)
class Column:
    """What is known of one column; dtype as a data-frame user names it, the missing value not counted as a value."""

    name: str
    dtype: str
    null_count: int
    unique_count: int


@dataclass(frozen=True)
class Inspection:
    """What is in a dataset. Values of the sample are strings, numbers, booleans or None."""

    format: TableFormat
    columns: list[Column]
    row_count: int
    sample: list[dict[str, Any]]
