"""What is asked of a trained model, and what it answers, in plain values."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from services.training.domain.model import ProblemType, TableFormat

NUMBER_BYTES, INDEX_BYTES = array("d").itemsize, array("i").itemsize
# Of answers in one message: whoever hears them takes up one while the next is made.
BATCH_BYTES = 64 * 1024


class RowFormat(StrEnum):
    """How rows are written."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    IMAGE = "image"
    COLUMNS = "columns"


@dataclass(frozen=True)
class PackageSource:
    """A packaged model in storage, and the checksum that was recorded of it."""

    placement: str
    key: str
    sha256: str


@dataclass(frozen=True)
class Loaded:
    """A model is loaded and waits for rows."""


@dataclass(frozen=True)
class ColumnsFormat:
    """What columns have to be: how many values each has, if that is told, and a datatype of the Open Inference Protocol
    for some."""

    row_count: int | None = None
    datatypes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsHeader:
    """Announces rows, and how they are written; their bytes follow."""

    row_format: RowFormat
    table_format: TableFormat | None
    columns_format: ColumnsFormat = field(default_factory=ColumnsFormat)


@dataclass(frozen=True)
class Detection:
    """One thing found in the image of a row: its class by its place, and its box in pixels of the upright image."""

    row: int
    class_index: int
    score: float
    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class AnswersHeader:
    """Announces answers: numbers, or the places of classes and then their probabilities, row by row. What was found
    in images is told here, and nothing follows."""

    row_count: int
    problem_type: ProblemType
    classes: list[Any]
    detections: list[Detection] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that follow."""
        if self.problem_type is ProblemType.OBJECT_DETECTION:
            return 0
        each = INDEX_BYTES + len(self.classes) * NUMBER_BYTES if self.classes else NUMBER_BYTES
        return self.row_count * each

    def check(self, content: bytes) -> None:
        """Fail with ValueError where these are not the answers that it announces: a workload may be anybody's."""
        if len(content) != self.size:
            raise ValueError(f"{self.size} bytes of answers are announced, and {len(content)} are given")
        places = memoryview(content)[: self.row_count * INDEX_BYTES].cast("i") if self.classes and content else None
        if places and not 0 <= min(places) <= max(places) < len(self.classes):
            raise ValueError(f"an answer is none of the {len(self.classes)} classes")


@dataclass(frozen=True)
class Answers:
    """What a model answers for some rows: numbers, or classes by their place among all, with their probabilities."""

    header: AnswersHeader
    values: "array[float]"
    class_indexes: "array[int]"
    probabilities: "array[float]"

    @classmethod
    def of(cls, header: AnswersHeader, content: bytes) -> "Answers":
        """From the bytes that follow a header."""
        if not header.classes or not content:
            return cls(header, array("d", content), array("i"), array("d"))
        cut = header.row_count * INDEX_BYTES
        return cls(header, array("d"), array("i", content[:cut]), array("d", content[cut:]))

    def batches(self) -> Iterator["Answers"]:
        """The same in parts of about 64 KiB, at least one."""
        wide = len(self.header.classes)
        rows = max(1, BATCH_BYTES // (NUMBER_BYTES * max(1, wide)))
        for start in range(0, max(1, self.header.row_count), rows):
            end = start + rows
            chances = self.probabilities[start * wide : end * wide]
            yield Answers(self.header, self.values[start:end], self.class_indexes[start:end], chances)
