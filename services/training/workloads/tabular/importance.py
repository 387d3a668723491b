"""How much each column matters: how far the score on held-out rows falls when the column's values are shuffled."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from services.training.workloads.kit.metrics import Answers
from services.training.workloads.tabular.case import Case
from services.training.workloads.tabular.templates.load_model import DATE_PARTS

SECONDS = 1.0  # in all; looking at a model may not take long beside training it
MOST_ROWS, LEAST_ROWS = 1000, 30
MOST_CELLS = 200_000
LOOK_ROWS, LOOK_COLUMNS = 100, 10
BATCH_ROWS, BATCH_CELLS = 10_000, 2_000_000
DIGITS = 6
LOOKS = 2
SHUFFLES = 5
SHOWN = 200

Answer = Callable[[pd.DataFrame], Answers]


@dataclass(frozen=True)
class Probe:
    """Held-out rows and their true answers."""

    case: Case
    rows: pd.DataFrame
    truth: npt.NDArray[Any]

    def score(self, answers: Answers) -> float:
        """The score of answers for these rows; NaN where they do not define it."""
        return self.case.score(self.truth, answers)

    def thinned(self, count: int) -> "Probe":
        """The same of fewer rows, chosen by the seed."""
        if count >= len(self.rows):
            return self
        kept = np.sort(np.random.default_rng(self.case.seed).permutation(len(self.rows))[:count])
        return Probe(self.case, self.rows.iloc[kept].reset_index(drop=True), self.truth[kept])


def feature_importance(
    case: Case, rows: pd.DataFrame, truth: npt.NDArray[Any], answer: Answer, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """Each column with its importance, the most important first; none where even a look would take too long."""
    probe = Probe(case, rows.reset_index(drop=True), truth)
    probe = probe.thinned(min(MOST_ROWS, max(LEAST_ROWS, MOST_CELLS // len(rows.columns))))
    groups = _groups(case, rows)
    deadline = time.monotonic() + seconds
    probe = _fitting(probe, groups, answer, seconds)
    if len(probe.rows) < min(LEAST_ROWS, len(rows)):
        return []
    whole = probe.score(answer(probe.rows))
    falls: list[npt.NDArray[np.float64]] = []
    random = np.random.default_rng(case.seed)
    took = 0.0
    while len(falls) < SHUFFLES and (not falls or time.monotonic() + took < deadline):
        started = time.monotonic()
        falls.append(whole - _shuffled_scores(probe, groups, answer, random))
        took = time.monotonic() - started
    return _describe(list(groups), np.array(falls))


def _groups(case: Case, rows: pd.DataFrame) -> dict[str, list[int]]:
    """The positions of the prepared columns that each column became: a date that is taken apart became four."""
    features = case.columns.features
    widths = [len(DATE_PARTS) if feature.kind == "date" and not feature.whole else 1 for feature in features]
    ends = np.cumsum(widths).tolist()
    places = range(len(rows.columns))
    return {
        feature.name: list(places[end - width : end])
        for feature, width, end in zip(features, widths, ends, strict=True)
    }


def _fitting(probe: Probe, groups: dict[str, list[int]], answer: Answer, seconds: float) -> Probe:
    """So many rows that shuffling every column once takes a third of the time at most, as a first look tells; where it
    says that these are too many, another one that the machine may not have held up, if there is time for it."""
    look = probe.thinned(LOOK_ROWS)
    batch = dict(list(groups.items())[:LOOK_COLUMNS])
    share = 0.0
    began = time.monotonic()
    for _ in range(LOOKS):
        started = time.monotonic()
        _shuffled_scores(look, batch, answer, np.random.default_rng(0))
        expected = (time.monotonic() - started) * len(groups) / len(batch) * len(probe.rows) / len(look.rows)
        share = max(share, seconds / 3 / expected)
        if share >= 1 or time.monotonic() - began > seconds:
            break
    return probe.thinned(max(1, int(len(probe.rows) * min(1.0, share))))


def _batch_size(probe: Probe) -> int:
    return max(1, min(BATCH_ROWS // len(probe.rows), BATCH_CELLS // probe.rows.size))


def _shuffled_scores(
    probe: Probe, groups: dict[str, list[int]], answer: Answer, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The score with each column shuffled; many columns are asked for in one call, which costs most."""
    scores: list[float] = []
    named = list(groups.values())
    size, count = _batch_size(probe), len(probe.rows)
    for start in range(0, len(named), size):
        copies = [_shuffled(probe.rows, places, random) for places in named[start : start + size]]
        answers = answer(pd.concat(copies, ignore_index=True))
        scores += [probe.score(_part(answers, number * count, count)) for number in range(len(copies))]
    return np.array(scores)


def _shuffled(rows: pd.DataFrame, places: list[int], random: np.random.Generator) -> pd.DataFrame:
    order = random.permutation(len(rows))
    shuffled = rows.copy()
    for place in places:
        shuffled.isetitem(place, rows.iloc[order, place].to_numpy())
    return shuffled


def _part(answers: Answers, start: int, count: int) -> Answers:
    part = slice(start, start + count)
    chances = answers.probabilities
    return Answers(answers.predicted[part], None if chances is None else chances[part])


def _describe(names: list[str], falls: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """Mean and spread over the shuffles; the p-value is that of a t-test that the column matters at all."""
    means, count = falls.mean(axis=0), len(falls)
    spreads = falls.std(axis=0, ddof=1) if count > 1 else np.full(len(names), np.nan)
    rows = [
        _entry(name, mean, spread, count)
        for name, mean, spread in zip(names, means.tolist(), spreads.tolist(), strict=True)
        if np.isfinite(mean)
    ]
    return sorted(rows, key=lambda row: -row["importance"])[:SHOWN]


def _entry(name: str, mean: float, spread: float, count: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"feature": name, "importance": _plain(mean)}
    if np.isfinite(spread):
        entry["stddev"] = _plain(spread)
        if spread > 0:
            entry["p_value"] = _plain(stats.t.sf(mean * count**0.5 / spread, count - 1))
    return entry


def _plain(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
