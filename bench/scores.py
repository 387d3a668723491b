"""Tables trained through the whole house beside AutoGluon called directly: the same rows, preset, seed and families.

python -m bench scores [--seeds 3] [--seconds 20] [--preset medium_quality] [--datasets titanic wine …]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import joblib
import pandas as pd
from sklearn import datasets as sk

from services.training.domain.model import DatasetSource, TrainingSpec
from services.training.workloads.tabular.case import settle
from services.training.workloads.tabular.engines.request import EXCLUDED
from tests.e2e.house import ROOT, House

SAMPLES = files("bokeh_sampledata") / "_data"
# Name to table and target.
TABLES = {
    "titanic": (lambda: pd.read_csv(SAMPLES / "titanic_all.csv"), "survived"),
    "penguins": (lambda: pd.read_csv(SAMPLES / "penguins.csv"), "species"),
    "autompg": (lambda: pd.read_csv(SAMPLES / "auto-mpg.csv"), "mpg"),
    "glass": (lambda: pd.read_csv(SAMPLES / "forensic_glass.csv"), "type"),
    "wine": (lambda: sk.load_wine(as_frame=True).frame, "target"),
    "cancer": (lambda: sk.load_breast_cancer(as_frame=True).frame, "target"),
    "diabetes": (lambda: sk.load_diabetes(as_frame=True).frame, "target"),
    "digits": (lambda: sk.load_digits(as_frame=True).frame, "target"),
}
DIRECT = """
import json, sys
wanted = json.load(open(sys.argv[1]))
import pandas as pd
from autogluon.tabular import TabularPredictor
rows = pd.read_csv(wanted["table"], float_precision="round_trip")
rows = rows[rows[wanted["target"]].notna()]
train, test = rows.iloc[wanted["train"]], rows.iloc[wanted["test"]]
predictor = TabularPredictor(
    label=wanted["target"], problem_type=wanted["problem_type"], eval_metric=wanted["metric"], path=wanted["folder"],
    verbosity=0, learner_kwargs={"label_count_threshold": 1, "random_state": wanted["seed"]},
).fit(
    train, presets=wanted["presets"], time_limit=wanted["time_limit"], excluded_model_types=wanted["excluded"],
    num_cpus=wanted["cpus"], ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
)
score = predictor.evaluate(test)[wanted["metric"]]
print(json.dumps({"score": score}))
"""


@dataclass(frozen=True)
class Trained:
    """One training: its score on the held-out rows, and the seconds it took in all."""

    score: float
    seconds: float


def measure(options: argparse.Namespace, house: House, folder: Path) -> str:
    """Train in turn by both, and report scores, their differences and what the whole flow costs on top."""
    lines = [
        f"scores: {options.preset}, {options.seconds} s, {options.seeds} seeds; of each the score by Modelyard and by "
        "AutoGluon, the difference, and the seconds of both"
    ]
    costs: list[tuple[float, float]] = []
    for name in options.datasets:
        pairs = [_pair(house, folder, name, seed, options) for seed in range(options.seeds)]
        costs += [(ours.seconds, theirs.seconds) for ours, theirs in pairs]
        lines += [_line(f"{name} {seed}", *pair) for seed, pair in enumerate(pairs)] + [_summary(name, pairs)]
    return "\n".join([*lines, _cost(costs)])


def add_options(group: Any) -> None:
    """What can be chosen, to a group of arguments."""
    group.add_argument("--seeds", type=int, default=3)
    group.add_argument("--seconds", type=float, default=20)
    group.add_argument("--preset", default="medium_quality")
    group.add_argument(
        "--datasets", nargs="+", choices=TABLES, default=["titanic", "penguins", "autompg", "glass", "wine", "diabetes"]
    )


def _pair(house: House, folder: Path, name: str, seed: int, options: argparse.Namespace) -> tuple[Trained, Trained]:
    make, target = TABLES[name]
    table = folder / f"{name}.csv"
    make().to_csv(table, index=False)
    wish = {"engine": "autogluon", "seed": seed, "presets": options.preset, "time_limit": options.seconds}
    both = [lambda: _ours(house, table, target, wish), lambda: _theirs(folder, table, target, wish)]
    # Whoever comes second finds a warm disk.
    if seed % 2:
        theirs, ours = both[1](), both[0]()
    else:
        ours, theirs = both[0](), both[1]()
    return ours, theirs


def _ours(house: House, table: Path, target: str, wish: dict[str, Any]) -> Trained:
    started = time.perf_counter()
    with table.open("rb") as file:
        answer = httpx.post(
            f"{house.url}/api/train",
            params={"wait": "true"},
            files={"file": file},
            data={"target": target, "parameters": json.dumps(wish)},
            timeout=10 * wish["time_limit"] + 300,
        )
    seconds = time.perf_counter() - started
    job = answer.raise_for_status().json()
    if job["status"] != "completed":
        raise RuntimeError(f"{table.name}: {job}")
    return Trained(job["result"]["score"], seconds)


def _theirs(folder: Path, table: Path, target: str, wish: dict[str, Any]) -> Trained:
    source = DatasetSource("bench", "datasets", table.name)
    case = settle(TrainingSpec("bench", "tabular", source, target, None, {"seed": wish["seed"]}), table)
    wanted = {
        "table": str(table),
        "target": target,
        "train": case.split.train.tolist(),
        "test": case.split.test.tolist(),
        "problem_type": case.target.problem_type,
        "metric": case.score_name,
        "folder": str(folder / f"direct_{time.monotonic_ns()}"),
        "excluded": EXCLUDED,
        "cpus": joblib.cpu_count(),
        **wish,
    }
    asked = folder / "asked.json"
    asked.write_text(json.dumps(wanted))
    started = time.perf_counter()
    command = [sys.executable, "-c", textwrap.dedent(DIRECT), str(asked)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ})
    seconds = time.perf_counter() - started
    told = json.loads(done.stdout.splitlines()[-1])
    return Trained(told["score"], seconds)


def _line(name: str, ours: Trained, theirs: Trained) -> str:
    return (
        f"  {name:<12} {ours.score:.4f}  {theirs.score:.4f}  {ours.score - theirs.score:+.4f}   "
        f"{ours.seconds:.1f} s  {theirs.seconds:.1f} s"
    )


def _summary(name: str, pairs: list[tuple[Trained, Trained]]) -> str:
    gaps = [ours.score - theirs.score for ours, theirs in pairs]
    theirs = [pair[1].score for pair in pairs]
    spread = statistics.stdev(theirs) if len(theirs) > 1 else float("nan")
    return f"  {name:<12} mean difference {statistics.mean(gaps):+.4f}, spread of AutoGluon over seeds {spread:.4f}"


def _cost(costs: list[tuple[float, float]]) -> str:
    ours, theirs = (statistics.median(side) for side in zip(*costs, strict=True))
    gap = statistics.median(mine - other for mine, other in costs)
    return f"  the whole flow takes {gap:+.1f} s, {gap / theirs:+.0%} (medians: {ours:.1f} s, {theirs:.1f} s)"
