"""What an engine is to the training that uses it."""

from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import pandas as pd

from services.training.domain.model import LeaderboardEntry
from services.training.workloads.kit.metrics import Answers
from services.training.workloads.kit.telling import Telling
from services.training.workloads.tabular.case import Case


class Fitted(Protocol):
    """A model, or the best of several, that has been fitted."""

    best_model: str
    """As its library names it."""
    hyperparameters: dict[str, Any]
    """What it was fitted with, for the manifest."""
    unavailable: list[str]
    """Model families that were asked for and could not be fitted: a library is missing, or they failed."""
    left_out: dict[str, str]
    """All families that were asked for and have no model, also those that had no time, each with the reason."""
    distributions: list[str]
    """Distributions that the packaged model needs, by name."""

    def answer(self, rows: pd.DataFrame) -> Answers:
        """What it answers for prepared rows."""

    def leaderboard(self, rows: pd.DataFrame, truth: npt.NDArray[Any]) -> list[LeaderboardEntry]:
        """Every model that was tried, best first, measured on prepared rows that were held out."""

    def save(self, folder: Path) -> None:
        """Write what the package's loader reads into an existing folder."""


class Engine(Protocol):
    """Something that fits models to a case."""

    def fit(self, case: Case, folder: Path, telling: Telling) -> Fitted:
        """Fit on the rows to learn from, with a folder to work in; an EngineFailed where no model can be fitted."""
