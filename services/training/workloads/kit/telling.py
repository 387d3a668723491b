"""Tells how a training goes, so that the fraction never goes down."""

import time
from datetime import UTC, datetime

from services.training.domain.model import Metric, Progress, Stage
from services.training.domain.ports import Reporter

# The share of the whole at which each stage begins; training ends where evaluating begins.
BEGINNINGS = {Stage.PREPARING: 0.0, Stage.TRAINING: 0.1, Stage.EVALUATING: 0.85, Stage.PACKAGING: 0.92}
LAST_TRAINING = BEGINNINGS[Stage.EVALUATING] - 0.01


class Telling:
    """Passes on progress and metrics to a reporter."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._fraction = 0.0
        self.started = time.monotonic()

    def begin(self, stage: Stage, message: str) -> None:
        """A stage begins."""
        self._tell(BEGINNINGS[stage], stage, message)

    def train(self, share: float, message: str) -> None:
        """How much of the fitting is done, 0 to 1."""
        begin = BEGINNINGS[Stage.TRAINING]
        self._tell(begin + min(1.0, share) * (LAST_TRAINING - begin), Stage.TRAINING, message)

    def finish(self, message: str) -> None:
        """All is done."""
        self._tell(1.0, Stage.PACKAGING, message)

    def metric(self, name: str, value: float, step: int, split: str) -> None:
        """A number measured on the way."""
        self._report.metric(Metric(name, float(value), step, split, datetime.now(UTC)))

    def _tell(self, fraction: float, stage: Stage, message: str) -> None:
        self._fraction = max(self._fraction, fraction)
        self._report.progress(Progress(self._fraction, stage, message))
