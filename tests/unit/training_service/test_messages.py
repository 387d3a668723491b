"""What service and worker say to each other survives the way."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from servicekit import statuses
from services.training.domain.errors import OneClass, QueueFull
from services.training.domain.inspection import Column, Inspection
from services.training.domain.messages import InspectTask, Refusal, TrainTask, WorkerDied, decode, encode
from services.training.domain.model import (
    DatasetSource,
    Metric,
    ProblemType,
    Progress,
    Stage,
    TableFormat,
    TrainingSpec,
)

SPEC = TrainingSpec(
    "t1",
    "tabular",
    DatasetSource("d1", "datasets", "k", "ab", TableFormat(";", "cp1252")),
    "label",
    ProblemType.BINARY,
    {"depth": 3, "rate": 0.5, "kinds": ["a"], "none": None},
)


@pytest.mark.parametrize(
    "message",
    [
        TrainTask(SPEC),
        InspectTask(None, 20),
        Progress(0.5, Stage.EVALUATING, "line one\nline two — ü"),
        Metric("accuracy", math.inf, 3, "validation", datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        Inspection(TableFormat(), [Column("a", "int64", 0, 2)], 2, [{"a": 1, "b": None}]),
    ],
)
def test_a_message_arrives_as_it_was_sent(message):
    line = encode(message)

    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_numbers_of_numpy_arrive_as_numbers():
    arrived = decode(encode(Metric("r2", np.float32(0.5), np.int64(4))))

    assert arrived == Metric("r2", 0.5, 4)


def test_a_nan_stays_a_nan():
    assert math.isnan(decode(encode(Metric("r2", math.nan))).value)


@pytest.mark.parametrize(
    "problem",
    [OneClass(target="t", value="{v}"), QueueFull(waiting=3, after_seconds=40), WorkerDied.of_signal("signal 11")],
)
def test_a_problem_is_the_same_problem_on_the_other_side(problem):
    """The same status with the same details, braces in its message included."""
    arrived = decode(encode(Refusal.of(problem))).as_problem()

    assert statuses.status_of(arrived) == statuses.status_of(problem)
